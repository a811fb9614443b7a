import { effect, signal } from '@preact/signals'
import { follow } from './api'
import { anonymous } from './login'

/** The one stream of events of a tab: snapshot, differences, beats. */

type Topic = Map<string, unknown>

const topics = new Map<string, Topic>()
const versions = new Map<string, number>()
/** Raised once for each batch that was applied: whoever shows a topic reads it. */
export const revision = signal(0)
/** Why a topic says nothing, by topic. */
export const faults = signal<Record<string, string>>({})
/** When the last event came, in ms; 0 before the first. */
export const heard = signal(0)
/** Now, in ms: moves with the clock, a few times a second. */
export const now = signal(Date.now())
/** When the next attempt is made, in ms; 0 while connected. */
export const retryAt = signal(0)
/** Frozen at this time: nothing on the page changes. '' while live. */
export const frozen = signal(0)

setInterval(() => { if (!document.hidden) now.value = Date.now() }, 500)

export type Standing = 'starting' | 'live' | 'late' | 'old'

/** What the page may say of its own age: never live when it is not. */
export function standing(): Standing {
	if (heard.value === 0) return retryAt.value ? 'old' : 'starting'
	const age = now.value - heard.value
	return age < 3000 ? 'live' : age < 10_000 ? 'late' : 'old'
}

/** A member of a topic. */
export function value<T>(topic: string, key: string): T | undefined {
	revision.value
	return topics.get(topic)?.get(key) as T | undefined
}

/** All of a topic, as the service answers it. */
export function whole<T>(topic: string): T | undefined {
	revision.value
	const t = topics.get(topic)
	return t && t.size ? (Object.fromEntries(t) as T) : undefined
}

/** A number that is another whenever something else was said of a topic. */
export function version(topic: string): number {
	revision.value
	return versions.get(topic) ?? 0
}

/** Whether anything was said of a topic, be it that there is nothing. */
export function told(topic: string): boolean {
	revision.value
	const t = topics.get(topic)
	return t !== undefined && (t.size > 0 || faults.value[topic] === undefined)
}

/** A topic's entries; it is not to be kept. */
export function entries(topic: string): Topic {
	revision.value
	return topics.get(topic) ?? new Map()
}

interface Snapshot { topics: Record<string, Record<string, unknown>>; errors: Record<string, string> }
interface Diff { set: Record<string, Record<string, unknown>>; del: Record<string, string[]>; errors: Record<string, string> }

/** Since when a topic says nothing new, by topic, in ms. */
const failing = new Map<string, number>()

/** When a topic was last known to say what is so, in ms. */
export function heardOf(topic: string): number { return faults.value[topic] === undefined ? heard.value : failing.get(topic) ?? 0 }

function failed(now: Record<string, string>) {
	for (const name of failing.keys()) if (!(name in now)) failing.delete(name)
	for (const name of Object.keys(now)) if (!failing.has(name)) failing.set(name, Date.now())
	faults.value = now
}

let waiting: (() => void)[] = []

/** Applies what came as one batch, in the next frame. */
function batch(apply: () => void) {
	waiting.push(apply)
	if (waiting.length > 1) return
	requestAnimationFrame(() => {
		if (frozen.value && topics.size) return // kept for when the page thaws
		flush()
	})
}

function flush() {
	const all = waiting
	waiting = []
	for (const f of all) f()
	if (all.length) revision.value++
}

const another = (name: string) => versions.set(name, (versions.get(name) ?? 0) + 1)

function snapshot(s: Snapshot) {
	for (const name of topics.keys()) {
		if (s.topics[name]) continue
		topics.delete(name) // no longer followed: what it said grows old
		another(name)
	}
	for (const [name, v] of Object.entries(s.topics)) {
		topics.set(name, new Map(Object.entries(v)))
		another(name)
	}
	failed(s.errors)
}

function difference(d: Diff) {
	for (const [name, v] of Object.entries(d.set)) {
		let t = topics.get(name)
		if (!t) topics.set(name, (t = new Map()))
		for (const [k, x] of Object.entries(v)) t.set(k, x)
		another(name)
	}
	for (const [name, keys] of Object.entries(d.del)) {
		for (const k of keys) topics.get(name)?.delete(k)
		another(name)
	}
	failed(d.errors)
}

const shell = ['alerts', 'overview', 'services']
const wanted = signal(shell.join(','))

/** What the page that is shown needs beside what every page does. */
export function want(more: string[]) { wanted.value = [...new Set([...shell, ...more])].sort().join(',') }

let running: AbortController | null = null
let failures = 0
const delays = [1000, 2000, 5000, 10_000]

function start() {
	stop()
	if (anonymous.peek()) return // whoever logs in starts it
	const mine = new AbortController()
	running = mine
	retryAt.value = 0
	const list = wanted.peek()
	follow('monitoring/ui/live?topics=' + encodeURIComponent(list), mine.signal, h => {
		heard.value = now.value = Date.now()
		failures = 0
		if (h.event === 'snapshot') {
			const s = JSON.parse(h.data) as Snapshot
			waiting = []
			batch(() => snapshot(s))
		} else if (h.event === 'diff') {
			const d = JSON.parse(h.data) as Diff
			if (frozen.value && waiting.length > 600) return again(0) // a snapshot instead of a backlog
			batch(() => difference(d))
		}
	}).catch(() => {
		if (mine.signal.aborted) return
		const wait = delays[Math.min(failures++, delays.length - 1)]!
		again(wait)
	})
}

let timer = 0

function again(wait: number) {
	stop()
	retryAt.value = Date.now() + wait
	timer = setTimeout(start, wait)
}

function stop() {
	clearTimeout(timer)
	running?.abort()
	running = null
}

/** Tries at once. */
export function tryNow() { failures = 0; start() }

/** Freezes the page at a time, in ms, or thaws it. */
export function freeze(at: number) {
	frozen.value = at
	if (!at && running) start() // a snapshot brings everything that was missed
}

let hiddenTimer = 0

/** Connects for as long as the page lives. */
export function connect() {
	effect(() => { wanted.value; anonymous.value; start() })
	document.addEventListener('visibilitychange', () => {
		clearTimeout(hiddenTimer)
		if (document.hidden) hiddenTimer = setTimeout(stop, 5000)
		else if (!running) { now.value = Date.now(); tryNow() }
	})
	addEventListener('online', tryNow)
}
