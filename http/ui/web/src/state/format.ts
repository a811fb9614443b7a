/** Numbers and times as the dashboard writes them. What is absent is –, never 0. */

const gap = '\u202f'
const minus = '\u2212'
export const absent = '–'

const known = (x: unknown): x is number => typeof x === 'number' && Number.isFinite(x)

/** Three significant digits, without an exponent. */
function digits3(x: number): string {
	const a = Math.abs(x)
	if (Number.isInteger(x) && a < 1000) return x.toString().replace('-', minus)
	const places = a >= 99.95 ? 0 : a >= 9.995 ? 1 : 2
	return x.toFixed(places).replace('-', minus)
}

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

/** A count: grouped to six digits, then 2.41 G. */
export function count(x: number | null | undefined): string {
	if (!known(x)) return absent
	const a = Math.abs(x)
	if (a < 999_999.5) return grouped.format(Math.round(x)).replace('-', minus)
	for (const [unit, size] of [['P', 1e15], ['T', 1e12], ['G', 1e9], ['M', 1e6]] as const)
		if (a >= size) return digits3(x / size) + gap + unit
	return grouped.format(x)
}

/** A rate: whole above ten, else with the digits that tell it from 0. */
export function rate(x: number | null | undefined): string {
	if (!known(x)) return absent
	if (x === 0) return '0'
	const a = Math.abs(x)
	return a >= 10 ? count(x) : a < 0.01 ? '<0.01' : digits3(x)
}

/** Bytes, in decimal units. */
export function bytes(x: number | null | undefined): string {
	if (!known(x)) return absent
	for (const [unit, size] of [['PB', 1e15], ['TB', 1e12], ['GB', 1e9], ['MB', 1e6], ['kB', 1e3]] as const)
		if (Math.abs(x) >= size) return digits3(x / size) + gap + unit
	return Math.round(x) + gap + 'B'
}

/** A length of time in seconds: 41 µs, 0.28 ms, 1.81 s, 8 m 12 s, 9 d 4 h. */
export function span(s: number | null | undefined): string {
	const [n, unit] = spanParts(s)
	return unit ? n + gap + unit : n
}

/** The number and its unit; the unit is empty for compound ones. */
export function spanParts(s: number | null | undefined): [string, string] {
	if (!known(s)) return [absent, '']
	const a = Math.abs(s)
	if (a === 0) return ['0', 's']
	if (a < 99.5e-6) return [digits3(s * 1e6), 'µs']
	if (a < 0.9995) return [digits3(s * 1e3), 'ms']
	if (a < 99.5) return [digits3(s), 's']
	const sign = s < 0 ? minus : ''
	const two = (big: number, bigUnit: string, small: number, smallUnit: string): [string, string] =>
		[sign + big + gap + bigUnit + (small ? ' ' + small + gap + smallUnit : ''), '']
	const whole = Math.round(a)
	if (whole < 3600) return two(Math.floor(whole / 60), 'm', whole % 60, 's')
	if (whole < 86400) return two(Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'm')
	return two(Math.floor(whole / 86400), 'd', Math.floor((whole % 86400) / 3600), 'h')
}

/** A share in percent, cut and never rounded up: 99.9996 is 99.999. */
export function cutPercent(p: number | null | undefined, places = 3): string {
	if (!known(p)) return absent
	const k = 10 ** places
	return (Math.floor(p * k + 1e-7) / k).toFixed(places)
}

export function percent(ratio: number | null | undefined): string {
	if (!known(ratio)) return absent
	const p = ratio * 100
	return (p !== 0 && Math.abs(p) < 1 ? '<1' : Math.round(p).toString()) + gap + '%'
}

export type Zone = 'utc' | 'local'

const parts = new Map<string, Intl.DateTimeFormat>()

function shape(zone: Zone, o: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
	const key = zone + JSON.stringify(o)
	let f = parts.get(key)
	if (!f) {
		f = new Intl.DateTimeFormat('en-GB', { hourCycle: 'h23', timeZone: zone === 'utc' ? 'UTC' : undefined, ...o })
		parts.set(key, f)
	}
	return f
}

type Moment = number | string | Date

export const instant = (t: Moment): Date => (t instanceof Date ? t : new Date(t))

export let zone: Zone = 'utc'
export function setZone(z: Zone) { zone = z }

/** 14:31:55, or 14:31:55.104 */
export function clock(t: Moment | null | undefined, ms = false): string {
	if (t === null || t === undefined || t === '') return absent
	const d = instant(t)
	if (Number.isNaN(d.getTime())) return absent
	return shape(zone, { hour: '2-digit', minute: '2-digit', second: '2-digit', ...(ms ? { fractionalSecondDigits: 3 } : {}) }).format(d)
}

/** 14:31 */
export function minute(t: Moment): string {
	return shape(zone, { hour: '2-digit', minute: '2-digit' }).format(instant(t))
}

/** 22 Nov 14:31 */
export function day(t: Moment | null | undefined, seconds = false): string {
	if (t === null || t === undefined || t === '') return absent
	const d = instant(t)
	if (Number.isNaN(d.getTime()) || d.getTime() <= 0) return absent
	return shape(zone, { day: '2-digit', month: 'short', hour: '2-digit', minute: '2-digit', ...(seconds ? { second: '2-digit' } : {}) }).format(d).replace(',', '')
}

/** The exact time, for titles. */
export function exact(t: Moment | null | undefined): string {
	if (t === null || t === undefined || t === '') return ''
	const d = instant(t)
	return Number.isNaN(d.getTime()) ? '' : d.toISOString()
}

/** Seconds since a time. */
export function since(t: Moment, now = Date.now()): number {
	return Math.max(0, (now - instant(t).getTime()) / 1000)
}

/** A price with the digits that the exchange sent, thousands grouped. */
export function price(text: string | number | null | undefined): string {
	if (text === null || text === undefined || text === '') return absent
	const [whole = '', fraction] = String(text).split('.')
	const grown = whole.replace('-', minus).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
	return fraction === undefined ? grown : grown + '.' + fraction
}

/** How many digits behind the point a price needs: the exchange's own, without the zeros
 * that all of them end with. */
export function places(texts: (string | undefined)[]): number {
	return texts.reduce((n, t) => Math.max(n, t?.split('.')[1]?.replace(/0+$/, '').length ?? 0), 0)
}

/** A decimal's text with so many digits behind the point; digits that count are never cut. */
export function digits(text: string | undefined, n: number): string {
	if (!text) return absent
	const [whole = '', fraction = ''] = text.split('.')
	const kept = fraction.replace(/0+$/, '').padEnd(n, '0')
	return kept ? whole + '.' + kept : whole
}
