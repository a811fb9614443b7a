import { toast } from '../../parts/toast'
import { get } from '../../state/api'
import { span } from '../../state/format'
import { tr } from '../../state/words'
import type { OneQuality } from '../streams/quality'
import { shortName, type ActorEvent } from './event_line'

const failedAt = new Map<string, number>()
let seen = -1

/** Says once of each actor that failed and came back: how long it was blind, and how many
 * records were fetched again. What happened before the page was opened is not told. */
export function tellRecoveries(events: ActorEvent[]) {
	const ordered = [...events].sort((a, b) => a.seq - b.seq)
	const last = ordered.at(-1)?.seq ?? seen
	for (const e of ordered) {
		const t = new Date(e.time).getTime()
		if (e.event === 'failed') failedAt.set(e.id, t)
		const from = failedAt.get(e.id)
		if (e.event !== 'ready' || from === undefined) continue
		failedAt.delete(e.id)
		if (seen >= 0 && e.seq > seen) void tell(e.id, from, t)
	}
	seen = Math.max(seen, last)
}

const stream = /^root\/collector\/([a-z0-9]+)-([a-z]+)\/(.+)$/

async function tell(id: string, from: number, to: number) {
	const blind = span((to - from) / 1000)
	const name = shortName(id)
	const m = stream.exec(id)
	let healed = 0
	if (m) {
		try {
			// The hole is fetched once the stream is back: give the ledger the time to say so.
			await new Promise(r => setTimeout(r, 2500))
			const q = await get<OneQuality>(`collector/quality/${m[1]}/${encodeURIComponent(m[3]!)}?market=${m[2]}&count=false`)
			for (const g of q.gaps) if (g.outcome === 'healed' && g.from_time && Date.parse(g.from_time) <= to && (!g.to_time || Date.parse(g.to_time) >= from - 1000)) healed += g.healed_records
		} catch { /* the stream is back; how much was fetched is in its ledger */ }
	}
	toast('ok', tr(`${name} is live again`, `${name} 已恢复`), healed ? tr(`Blind for ${blind}; ${healed} records were fetched again.`, `中断 ${blind}；已补 ${healed} 条记录。`) : tr(`Blind for ${blind}.`, `中断 ${blind}。`))
}
