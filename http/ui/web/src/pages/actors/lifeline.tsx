import { clock, span } from '../../state/format'
import { now } from '../../state/moment'
import { tr } from '../../state/words'
import type { ActorEvent } from './event_line'

export interface Life { began: number; ready?: number; ended?: number; by: string; backoff?: number; blind?: number }

/** The lives of one actor, oldest first, from its events. Blind is from a failure until
 * the next life is ready, in seconds. */
export function livesOf(events: ActorEvent[]): Life[] {
	const lives: Life[] = []
	for (const e of [...events].sort((a, b) => a.seq - b.seq)) {
		const t = new Date(e.time).getTime()
		const last = lives.at(-1)
		switch (e.event) {
			case 'started': case 'restarted':
				if (last && !last.ended && last.ready === undefined && e.event === 'started') break // restarted, then started: one life
				if (last && !last.ended) { last.ended = t; last.by = tr('restarted by hand', '手动重启') }
				lives.push({ began: t, by: '' })
				break
			case 'ready': {
				if (!last) break
				last.ready ??= t
				const before = lives.at(-2)
				if (before?.ended && last.blind === undefined) last.blind = (t - before.ended) / 1000
				break
			}
			case 'failed': if (last && !last.ended) { last.ended = t; last.by = e.failure?.reason ?? tr('failure', '失败') } break
			case 'backoff': if (last) last.backoff = e.delay_seconds; break
			case 'stopped': if (last && !last.ended) { last.ended = t; last.by = tr('stopped', '停止') } break
			case 'escalated': if (last && !last.ended) { last.ended = t; last.by = tr('escalated', '上报') } break
		}
	}
	return lives
}

/** The last two lives and what was between them, to scale of importance, not of time. */
export function Lifeline({ events }: { events: ActorEvent[] }) {
	const lives = livesOf(events)
	const last = lives.at(-1)
	if (!last) return <p class="small dim">{tr('Its beginning is older than the history.', '其开始早于历史记录。')}</p>
	const before = lives.at(-2)
	if (!before?.ended) return <div><div class="timeline tall"><i class="seg live" style={{ left: 0, width: '100%' }} /></div><div class="row label"><span class="nums">{clock(last.began)}</span><span class="grow" /><span>{last.ended ? last.by : tr(`alive ${span(Math.round((now.value - last.began) / 1000))}`, `存活 ${span(Math.round((now.value - last.began) / 1000))}`)}</span></div></div>
	const sync = last.ready !== undefined ? (last.ready - last.began) / 1000 : undefined
	return (
		<div>
			<div class="timeline tall">
				<i class="seg" style={{ left: 0, width: '30%' }} /><b class="cut c-crit">×</b><i class="seg backoff" style={{ left: '31%', width: '17%' }} />
				<i class="seg sync" style={{ left: '49%', width: '18%' }} />{last.ready !== undefined && <i class="seg live" style={{ left: '68%', width: '32%' }} />}
			</div>
			<div class="lifewords label"><span>{tr('life', '生命')} {span(Math.round((before.ended - before.began) / 1000))}<br /><b class="c-crit">{clock(before.ended, true)}</b></span><span>{tr('backoff', '退避')}<br />{span(before.backoff ?? (last.began - before.ended) / 1000)}</span><span>{tr('start', '启动')}<br />{span(sync)}</span><span class="num">{last.ready !== undefined ? tr('running', '运行中') : tr('starting', '启动中')}<br />{last.ready !== undefined ? clock(last.ready, true) : ''}</span></div>
		</div>
	)
}
