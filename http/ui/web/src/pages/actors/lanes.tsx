import { useMemo } from 'preact/hooks'
import { Icon, type IconName } from '../../parts/icon'
import { Card } from '../../parts/panel'
import { clock, minute, span } from '../../state/format'
import { entries, version } from '../../state/live'
import { now } from '../../state/moment'
import { ranges, rangeWord } from '../../state/moment'
import { Twin, TwinButton } from '../../parts/twin'
import { set } from '../../state/route'
import { plural, tr } from '../../state/words'
import { shortName, type ActorEvent } from './event_line'


interface Shape { icon: IconName; cls: string; word: () => string }

const shapes: Record<string, Shape> = {
	failed: { icon: 'x', cls: 'c-crit', word: () => tr('failure', '失败') },
	restarted: { icon: 'rotate-cw', cls: 'c-work', word: () => tr('restart', '重启') },
	escalated: { icon: 'arrow-up', cls: 'c-crit', word: () => tr('escalation', '上报') },
	abandoned: { icon: 'circle-minus', cls: 'c-off', word: () => tr('left behind', '被放弃') },
}

/** What happened in each branch in the last 15 minutes. */
export function Lanes({ branches }: { branches: string[] }) {
	const word = rangeWord('15m')
	const window = ranges[word]! * 1000
	const begin = now.value - window
	const events = useMemo(() => ([...entries('events').values()] as ActorEvent[]).filter(e => e.event in shapes || e.event === 'backoff'), [version('events')])
	const recent = events.filter(e => new Date(e.time).getTime() >= begin && new Date(e.time).getTime() <= now.value)
	const number = (kind: string) => recent.filter(e => e.event === kind).length
	const failures = number('failed'), restarts = number('restarted'), up = number('escalated')
	const x = (t: string | number) => ((new Date(t).getTime() - begin) / window) * 100
	return (
		<Card title={tr('Supervision', '监督')} hint={tr(`${failures} ${plural(failures, 'failure', 'failures')} · ${restarts} ${plural(restarts, 'restart', 'restarts')} · ${up} ${plural(up, 'escalation', 'escalations')}`, `失败 ${failures} · 重启 ${restarts} · 上报 ${up}`)}
			end={<><span class="legend wide far">{Object.values(shapes).slice(0, 3).map(s => <span class="row"><Icon name={s.icon} size={12} cls={s.cls} />{s.word()}</span>)}<span class="row"><i class="seg backoff" />{tr('backoff', '退避')}</span></span><TwinButton /></>}>
			<Twin label={tr('What happened in each branch', '各分支事件')} head={[tr('Time', '时间'), tr('Actor', 'Actor'), tr('What', '事件'), '#' + tr('Delay', '延迟')]} rows={() => recent.toReversed().map(e => [clock(e.time, true), shortName(e.id), shapes[e.event]?.word() ?? tr('backoff', '退避'), e.delay_seconds ? span(e.delay_seconds) : ''])}>
			<div class="pad lanes">
				{branches.map(b => {
					const mine = recent.filter(e => e.id === 'root/' + b || e.id.startsWith('root/' + b + '/'))
					const n = mine.filter(e => e.event === 'restarted').length
					return (
						<>
							<span class="small mid clip">{b}</span>
							<div class="lane-line">
								{mine.filter(e => e.event === 'backoff').map(e => <i class="seg backoff" style={{ left: x(e.time) + '%', width: Math.max(0.3, ((e.delay_seconds ?? 0) * 1000 / window) * 100) + '%' }} />)}
								{apart(mine.filter(e => e.event in shapes), x).map(({ e, at, more }) => {
									const s = shapes[e.event]!
									const word = `${clock(e.time)} ${shortName(e.id)}: ${s.word()}${more ? ` ×${more + 1}` : ''}`
									return <button class={'mark ' + s.cls} style={{ left: at + '%' }} title={word} aria-label={word} onClick={() => set({ sel: e.id }, 'push')}><Icon name={s.icon} size={12} cls={s.cls} />{more > 0 && <small>×{more + 1}</small>}</button>
								})}
							</div>
							<span class="num small dim">{n ? tr(`${n} ${plural(n, 'restart', 'restarts')}`, `重启 ${n}`) : ''}</span>
						</>
					)
				})}
				<span /><div class="row label ticks">{[0, 1, 2, 3, 4].map(m => <span class="nums">{minute(begin + (m * window) / 5)}</span>)}<span class="nums">{minute(now.value)}</span></div><span />
			</div>
			</Twin>
		</Card>
	)
}

/** Marks that would lie on one another stand side by side, then merge. */
function apart(events: ActorEvent[], x: (t: string) => number): { e: ActorEvent; at: number; more: number }[] {
	const out: { e: ActorEvent; at: number; more: number }[] = []
	for (const e of events) {
		const at = x(e.time)
		const same = out.findLast(o => o.e.event === e.event && at - o.at < 4)
		if (same && out.filter(o => Math.abs(o.at - at) < 4).length > 1) same.more++
		else out.push({ e, at: Math.max(at, (out.at(-1)?.at ?? -9) + 2.4), more: 0 })
	}
	return out
}
