import { useState } from 'preact/hooks'
import { HeatStrip } from '../parts/heat'
import { Icon } from '../parts/icon'
import { refused } from '../parts/toast'
import { count, span } from '../state/format'
import { now } from '../state/moment'
import { instant, range, type Series } from '../state/promql'
import { plural, tr } from '../state/words'

interface Found { firing: Series[]; past: Series[]; at: number; step: number }

const hours = 6

/** Tries an alerting expression: what is true now, and what would have fired in the last
 * hours, had it been true for as long as the rule wants. */
export function RuleTest({ expr, duration, inside = false }: { expr: string; duration: number; /** of a form, which has a heading of its own */ inside?: boolean }) {
	const [found, setFound] = useState<Found | null>(null)
	const [busy, setBusy] = useState(false)
	const step = hours * 60
	const run = async () => {
		setBusy(true)
		try {
			const [firing, past] = await Promise.all([instant(expr), range(expr, hours * 3600, step)])
			setFound({ firing, past, at: now.value, step })
		} catch (e) { refused(tr('The expression cannot be evaluated', '表达式无法求值'), e) }
		setBusy(false)
	}
	return (
		<section data-tested={found ? found.firing.length : undefined} {...(inside ? { 'aria-label': tr('Test', '测试') } : {})}>{!inside && <h3>{tr('Test', '测试')}<span>{found ? tr(`last ${hours} h, for ${span(duration)}`, `最近 ${hours} 小时，持续 ${span(duration)}`) : ''}</span></h3>}
			<div class="row wrap"><button class="btn" type="button" disabled={busy} onClick={run}><Icon name="flask-conical" size={14} />{tr('Test', '测试')}</button><span class="small dim grow">{tr('Evaluated here and now; nobody is told.', '立即求值，不发送通知。')}</span></div>
			{found && <Verdict of={found} duration={duration} />}
		</section>
	)
}

function Verdict({ of: f, duration }: { of: Found; duration: number }) {
	const end = Math.floor(f.at / 1000 / f.step) * f.step
	const times = Array.from({ length: 60 }, (_, i) => end - (59 - i) * f.step)
	const at = times.map(t => f.past.filter(s => s.points.some(p => p[0] === t)).length)
	const need = Math.max(1, Math.ceil(duration / f.step))
	let fires = 0
	for (const s of f.past) {
		const there = new Set(s.points.map(p => p[0]))
		let long = 0
		for (const t of times) {
			long = there.has(t) ? long + 1 : 0
			if (long === need) fires++
		}
	}
	return (
		<div class="stack small">
			<p><b class={f.firing.length ? 'c-warn' : ''}>{tr(`True of ${count(f.firing.length)} series now.`, `当前 ${count(f.firing.length)} 个序列成立。`)}</b> {tr(`It would have fired ${fires} ${plural(fires, 'time', 'times')}.`, `期间会触发 ${fires} 次。`)}</p>
			<HeatStrip label={tr('How many series were true; arrow keys tell each time', '成立的序列数；方向键逐格查看')} cells={times.map((t, i) => ({ at: t * 1000, tone: at[i] ? 'hw' : 'h0', says: tr(`${at[i]} series`, `${at[i]} 个序列`) }))} />
			{f.firing.length > 0 && <pre class="text" tabIndex={0}>{f.firing.slice(0, 20).map(s => Object.entries(s.labels).map(([k, v]) => `${k}="${v}"`).join(' ') + '  ' + (s.points.at(-1)?.[1] ?? '')).join('\n')}</pre>}
		</div>
	)
}
