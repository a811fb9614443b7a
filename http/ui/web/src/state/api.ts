import { anonymous, login, renew } from './login'

/** Asking the services, under the prefixes that the page's origin has for them. */

/** What a service refuses, or that it does not answer. */
export class Refusal extends Error {
	constructor(readonly status: number, message: string, readonly requestId: string) { super(message) }
}

const base = '/api/v1/'

async function answered(r: Response): Promise<Response> {
	if (r.ok) return r
	if (r.status === 401 && !login.peek()) anonymous.value = true
	let message = r.statusText || 'no reason given'
	let id = r.headers.get('X-Request-Id') ?? ''
	try {
		const body = await r.json() as { detail?: string; error?: string; message?: string; request_id?: string }
		message = body.detail ?? body.error ?? body.message ?? message
		id = body.request_id ?? id
	} catch { /* no body that can be read: the status says it */ }
	throw new Refusal(r.status, message, id)
}

/** Asks as who is logged in. A login that has run out is renewed, and the question asked again. */
async function ask(path: string, init: RequestInit & { headers: Record<string, string> }): Promise<Response> {
	for (let again = false; ; again = true) {
		const who = login.peek()
		const r = await fetch(base + path, { ...init, headers: who ? { ...init.headers, Authorization: 'Bearer ' + who.access } : init.headers })
		if (r.status !== 401 || again) return answered(r)
		const other = login.peek()?.access !== who?.access // somebody logged in meanwhile
		if (!other && (!who || !await renew(who.access))) return answered(r)
	}
}

/** What a page asks by itself: the services' logs do not tell of it. */
const poll = { 'X-Dashboard-Poll': '1' }

const patience = 15_000

/** Gets path (storage/status, collector/quality, …) as JSON. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
	const limit = AbortSignal.timeout(patience)
	const r = await ask(path, { headers: { Accept: 'application/json', ...poll }, signal: signal ? AbortSignal.any([signal, limit]) : limit })
	return r.json() as Promise<T>
}

/** Sends a command; its answer is returned. */
export async function send<T>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown, more: Record<string, string> = {}): Promise<T> {
	const r = await ask(path, {
		method, headers: body === undefined ? more : { 'Content-Type': 'application/json', ...more },
		body: body === undefined ? undefined : JSON.stringify(body), signal: AbortSignal.timeout(60_000),
	})
	const text = await r.text()
	return (text ? JSON.parse(text) : {}) as T
}

export interface Happening { event: string; id: string; data: string }

/** Follows server-sent events until the signal ends it; throws when they end. It is a
 * fetch, since an EventSource cannot say who asks. */
export async function follow(path: string, signal: AbortSignal, on: (h: Happening) => void): Promise<void> {
	const r = await ask(path, { headers: { Accept: 'text/event-stream', ...poll }, signal, cache: 'no-store' })
	if (!r.body) throw new Refusal(r.status, 'no events', '')
	const reader = r.body.pipeThrough(new TextDecoderStream()).getReader()
	let rest: string[] = [] // of a line, which may be of megabytes and come in hundreds of pieces
	let event = '', id = '', data: string[] = []
	for (;;) {
		const { done, value } = await reader.read()
		if (done) throw new Refusal(0, 'the events ended', '')
		let begin = 0
		for (let end: number; (end = value.indexOf('\n', begin)) >= 0; begin = end + 1) {
			rest.push(value.slice(begin, end))
			const line = rest.join('').replace(/\r$/, '')
			rest = []
			if (line === '') {
				if (data.length) on({ event: event || 'message', id, data: data.join('\n') })
				event = ''
				data = []
				continue
			}
			const colon = line.indexOf(':')
			const name = colon < 0 ? line : line.slice(0, colon)
			const text = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
			if (name === 'event') event = text
			else if (name === 'id') id = text
			else if (name === 'data') data.push(text)
		}
		if (begin < value.length) rest.push(value.slice(begin))
	}
}
