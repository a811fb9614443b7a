import { HeatStrip, type Cell } from '../../parts/heat'
import { count, span } from '../../state/format'
import { now } from '../../state/moment'
import { useResource, type Resource } from '../../state/resource'
import { plural, tr } from '../../state/words'
import type { Gap, Quality } from './quality'

/** The day so far of every stream, of the gap ledger. */
export interface Day { begin: number; streams: { exchange: string; market: string; from: number; gaps: Gap[] }[] }

export function useDay(): Resource<Day> {
	const today = new Date(now.value).toISOString().slice(0, 10)
	const all = useResource<Quality>('collector/quality?day=' + today, 30_000)
	const data = all.data && { begin: Date.parse(today + 'T00:00:00Z'), streams: all.data.streams.map(s => ({ exchange: s.exchange, market: s.market, from: Date.parse(s.from), gaps: s.gaps })) }
	return { ...all, data }
}

const quarter = 900_000

interface MarketDay { begin: number; from: number; gaps: Gap[] }

/** What a market's streams have in common: since when any is observed, and what any misses. */
export function dayOf(day: Day | undefined, exchange: string, market: string): MarketDay | undefined {
	const mine = day?.streams.filter(s => s.exchange === exchange && s.market === market)
	if (!day || !mine?.length) return undefined
	return { begin: day.begin, from: mine.reduce((a, s) => Math.min(a, Number.isFinite(s.from) ? s.from : Infinity), Infinity), gaps: mine.flatMap(s => s.gaps) }
}

/** 00 to 24 UTC in quarters of an hour: live, healed, with a gap, silent now, not yet. */
export function DayStrip({ day, label, silent }: { day: MarketDay | undefined; label: string; silent: boolean }) {
	if (!day) return null
	const at = now.value
	const cells = Array.from({ length: 96 }, (_, i): Cell => {
		const from = day.begin + i * quarter, to = from + quarter
		if (from > at) return { at: from, tone: 'hf', says: tr('not yet', '未到') }
		if (to <= day.from) return { at: from, tone: 'hq', says: tr('not observed', '未观测') }
		if (silent && to > at) return { at: from, tone: 'hs', says: tr('silent now', '当前静默') }
		const mine = day.gaps.filter(g => g.from_time && Date.parse(g.from_time) < to && (g.to_time ? Date.parse(g.to_time) : at) >= from)
		if (mine.length === 0) return { at: from, tone: 'h2', says: tr('live', '实时') }
		const length = span(mine.reduce((n, g) => n + ((g.to_time ? Date.parse(g.to_time) : at) - Date.parse(g.from_time!)) / 1000, 0))
		const lost = mine.filter(g => g.outcome !== 'healed').length
		return lost ? { at: from, tone: 'hc', says: tr(`${count(lost)} ${plural(lost, 'gap', 'gaps')}, ${length}`, `缺口 ${count(lost)}，${length}`) } : { at: from, tone: 'hb', says: tr(`healed, ${length}`, `已回补，${length}`) }
	})
	return <HeatStrip cls="day" cells={cells} label={tr(`Coverage of ${label} today`, `${label} 今日覆盖`)} />
}
