import { useEffect, useRef, useState } from 'preact/hooks'
import { get, Refusal } from './api'
import { faults, frozen, heard, heardOf, standing, told, tryNow } from './live'
import { anonymous } from './login'
import { tr } from './words'

/** What a panel knows of what it shows. */
export interface Resource<T> {
	data: T | undefined
	/** When data came, in ms. */
	at: number
	error: string | undefined
	status: number
	/** When it is tried again, in ms; 0 while it is well. */
	next: number
	/** Since when it has been waited for, in ms; 0 while nothing is. */
	asked: number
	retry: () => void
}

const delays = [1000, 2000, 5000, 10_000]

/** Asks again and again: every `every` ms, later when it fails, not while hidden or frozen. '' asks nothing. */
export function useResource<T>(path: string, every = 5000): Resource<T> {
	return useAsked<T>(path, signal => get<T>(path, signal), every)
}

/** The same for anything that is asked; key says when it is another question. */
export function useAsked<T>(key: string, ask: (signal: AbortSignal) => Promise<T>, every = 5000): Resource<T> {
	const [state, change] = useState<Omit<Resource<T>, 'retry'>>({ data: undefined, at: 0, error: undefined, status: 0, next: 0, asked: Date.now() })
	const poke = useRef(() => {})
	const at = frozen.value
	const latest = useRef(ask)
	latest.current = ask
	const known = useRef('')
	const shown = useRef('')
	useEffect(() => {
		if (key === '') {
			change({ data: undefined, at: 0, error: undefined, status: 0, next: 0, asked: 0 })
			return
		}
		const life = new AbortController()
		let timer = 0
		let failures = 0
		const round = async () => {
			clearTimeout(timer)
			if (frozen.peek() && known.current === key + frozen.peek()) return // as of that moment, once
			if (document.hidden || anonymous.peek()) {
				timer = setTimeout(round, 1000)
				return
			}
			try {
				const data = await latest.current(life.signal)
				if (life.signal.aborted) return
				failures = 0
				known.current = key + frozen.peek()
				change({ data, at: Date.now(), error: undefined, status: 200, next: 0, asked: 0 })
				if (every > 0) timer = setTimeout(round, every)
			} catch (e) {
				if (life.signal.aborted) return
				const wait = Math.max(delays[Math.min(failures++, delays.length - 1)]!, every > 0 ? Math.min(every, 10_000) : 0)
				const refused = e instanceof Refusal
				change(s => ({ ...s, error: e instanceof Error ? e.message : String(e), status: refused ? e.status : 0, next: Date.now() + wait, asked: 0 }))
				timer = setTimeout(round, refused && e.status === 404 ? 30_000 : wait)
			}
		}
		// Frozen as it is: what is shown stays.
		if (at && shown.current === key && Math.abs(Date.now() - at) < 5000) known.current = key + at
		else if (!at && shown.current === key) { /* it goes on: what is shown is replaced when the answer comes */ }
		else change({ data: undefined, at: 0, error: undefined, status: 0, next: 0, asked: Date.now() })
		shown.current = key
		poke.current = () => { failures = 0; void round() }
		void round()
		return () => { life.abort(); clearTimeout(timer) }
	}, [key, every, at])
	return { ...state, retry: () => poke.current() }
}

/** What a panel knows of a topic of the live stream, as if it were asked for. */
export function ofTopic(topic: string, known = told(topic)): Resource<true> {
	const error = faults.value[topic] ?? (standing() === 'old' && !frozen.value ? tr('the connection broke', '连接中断') : undefined)
	return { data: known || undefined, at: heardOf(topic), error, status: 0, next: 0, asked: heard.value || Date.now(), retry: tryNow }
}
