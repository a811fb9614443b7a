import type { Level } from '../../parts/status'
import { tr } from '../../state/words'
import type { Stream } from './quality'

/** What is measured of streams beside what they say: by stream, by market, and of all. */
export interface Measured { rates: Map<string, number | undefined>; lags: Map<string, number | undefined>; publishes: Map<string, number | undefined>; store: number | undefined }

/** What was said of a stream, with when its newest record came, in ms; 0 for never. */
export interface Said { id: string; stream: Stream; newest: number }

let minute = '', base = 0

/** A time of RFC 3339 in UTC, in ms. Thousands that come together are of the same minute, which is read once. */
function timeOf(text: string): number {
	const head = text.slice(0, 17)
	if (head !== minute) [minute, base] = [head, Date.parse(head + '00Z')]
	return base + Number(text.slice(17, -1)) * 1000
}

/** What the live feed says of streams. */
export function said(all: Map<string, unknown>): Said[] {
	const out: Said[] = []
	for (const [key, v] of all) {
		if (!key.startsWith('streams/')) continue
		const stream = v as Stream, last = stream.sum?.last_received
		out.push({ id: key.slice(8), stream, newest: last ? timeOf(last) : 0 })
	}
	return out
}

function levelOf(s: Stream, age: number | undefined, open: number): [Level, string] {
	if (s.book_state === 'stale') return ['crit', tr('stale', '陈旧')]
	if (!s.live && age !== undefined && age > 30) return ['crit', tr('silent', '静默')]
	if (s.book_state === 'syncing') return ['work', tr('syncing', '同步中')]
	if (!s.live) return ['work', tr('starting', '启动中')]
	if (open > 0) return ['warn', tr('gap open', '缺口未补')]
	if (age !== undefined && age > 60) return ['warn', tr('late', '延迟')]
	return ['ok', tr('live', '实时')]
}

const known = (v: number | undefined) => v !== undefined && Number.isFinite(v) ? v : undefined

/** A stream in a list of thousands: what only rows in sight need is looked up when they are shown. */
export class Row {
	readonly id: string
	/** Of its newest record, in seconds. */
	readonly age: number | undefined
	readonly level: Level
	readonly word: string
	private readonly s: Stream
	constructor(from: Said, asOf: number, private readonly m: Measured) {
		this.id = from.id
		this.s = from.stream
		this.age = from.newest ? Math.max(0, asOf - from.newest) / 1000 : undefined
		const [level, word] = levelOf(from.stream, this.age, this.open)
		this.level = level
		this.word = word
	}
	get exchange() { return this.s.exchange }
	get market() { return this.s.market }
	get symbol() { return this.s.symbol }
	get coverage_percent() { return this.s.coverage_percent }
	get verified_percent() { return this.s.verified_percent }
	get resyncs() { return this.s.resyncs }
	get gaps_total() { return this.s.sum?.gaps ?? 0 }
	get open() { return this.s.sum?.open_gaps ?? 0 }
	get rate() { return this.m.rates.get(this.id) }
	get lag() { return known(this.m.lags.get(this.s.exchange + '/' + this.s.market)) }
	get publish() { return known(this.m.publishes.get(this.s.exchange + '/' + this.s.market)) }
	get store() { return this.m.store }
}
