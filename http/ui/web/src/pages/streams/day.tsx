import { useMemo } from 'preact/hooks'
import { HeatStrip, type Cell } from '../../parts/heat'
import { count, span } from '../../state/format'
import { now } from '../../state/moment'
import { language } from '../../state/prefs'
import { useResource } from '../../state/resource'
import { plural, tr } from '../../state/words'
import type { Quality } from './quality'

/** What a market's streams miss together today, and since when any is observed; in ms. */
export interface MarketDay { begin: number; from: number; holes: { from: number; /** Infinity while it is open */ to: number; healed: boolean }[] }

/** The day so far, of the gap ledger, by market (binance/spot). */
export type Day = Map<string, MarketDay>

export function useDay(): Day {
	const today = new Date(now.value).toISOString().slice(0, 10)
	const all = useResource<Quality>('collector/quality?channels=false&day=' + today, 30_000)
	return useMemo(() => {
		const day: Day = new Map()
		for (const s of all.data?.streams ?? []) {
			const name = s.exchange + '/' + s.market
			let m = day.get(name)
			if (!m) day.set(name, (m = { begin: Date.parse(today), from: Infinity, holes: [] }))
			const from = Date.parse(s.from)
			if (from < m.from) m.from = from
			for (const g of s.gaps ?? []) if (g.from_time) m.holes.push({ from: Date.parse(g.from_time), to: g.to_time ? Date.parse(g.to_time) : Infinity, healed: g.outcome === 'healed' })
		}
		return day
	}, [all.data])
}

const quarter = 900_000

/** The quarters of an hour of a day: live, healed, with a gap, silent now, not yet. */
function quarters(day: MarketDay, at: number, silent: boolean): Cell[] {
	const sums = Array.from({ length: 96 }, () => ({ lost: 0, healed: 0, ms: 0 }))
	for (const h of day.holes) {
		const to = Math.min(h.to, at)
		for (let i = Math.max(0, Math.floor((h.from - day.begin) / quarter)); i < 96 && day.begin + i * quarter <= to; i++) {
			sums[i]![h.healed ? 'healed' : 'lost']++
			sums[i]!.ms += to - h.from
		}
	}
	return sums.map((s, i): Cell => {
		const from = day.begin + i * quarter, to = from + quarter
		if (from > at) return { at: from, tone: 'hf', says: tr('not yet', '未到') }
		if (to <= day.from) return { at: from, tone: 'hq', says: tr('not observed', '未观测') }
		if (silent && to > at) return { at: from, tone: 'hs', says: tr('silent now', '当前静默') }
		if (s.lost) return { at: from, tone: 'hc', says: tr(`${count(s.lost)} ${plural(s.lost, 'gap', 'gaps')}, ${span(s.ms / 1000)}`, `缺口 ${count(s.lost)}，${span(s.ms / 1000)}`) }
		if (s.healed) return { at: from, tone: 'hb', says: tr(`healed, ${span(s.ms / 1000)}`, `已回补，${span(s.ms / 1000)}`) }
		return { at: from, tone: 'h2', says: tr('live', '实时') }
	})
}

/** 00 to 24 UTC of a market. It is made again once a minute, and when the ledger has been asked. */
export function DayStrip({ day, label, silent }: { day: MarketDay | undefined; label: string; silent: boolean }) {
	const minute = Math.floor(now.value / 60_000)
	return useMemo(() => day ? <HeatStrip cls="day" merged cells={quarters(day, now.peek(), silent)} label={tr(`Coverage of ${label} today`, `${label} 今日覆盖`)} /> : null, [day, minute, silent, label, language.value])
}
