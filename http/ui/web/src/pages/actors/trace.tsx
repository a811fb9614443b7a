import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon } from '../../parts/icon'
import { refused } from '../../parts/toast'
import { get } from '../../state/api'
import { clock, count, span } from '../../state/format'
import { now as wall } from '../../state/live'
import { tr } from '../../state/words'

interface Traced { time: string; message: string; handle_seconds: number; waiting: number; failed?: boolean }
interface Watched { from: string; duration_seconds: number; handled: number; dropped: number; kinds: { message: string; count: number; failed: number; total_seconds: number; max_seconds: number }[]; messages: Traced[] }

const length = 10

/** What the actor handles in the next ten seconds, message by message. */
export function Trace({ id }: { id: string }) {
	const [began, begin] = useState(0)
	const [found, setFound] = useState<Watched | null>(null)
	const running = useRef<AbortController | null>(null)
	useEffect(() => () => running.current?.abort(), [])
	const run = async () => {
		const mine = new AbortController()
		running.current = mine
		begin(Date.now())
		setFound(null)
		try {
			setFound(await get<Watched>(`monitoring/actors/${encodeURIComponent(id)}/trace?seconds=${length}`, mine.signal))
		} catch (e) {
			if (!mine.signal.aborted) refused(tr('The actor was not traced', '未能追踪该 Actor'), e)
		}
		begin(0)
	}
	const left = began ? Math.max(0, Math.ceil(length - (wall.value - began) / 1000)) : 0
	return (
		<section data-trace={found ? found.handled : undefined}><h3>{tr('Trace', '追踪')}<span>{began ? tr(`${left} s to go`, `剩余 ${left} 秒`) : found ? tr(`${count(found.handled)} messages in ${span(found.duration_seconds)}`, `${span(found.duration_seconds)} 内 ${count(found.handled)} 条消息`) : ''}</span></h3>
			<div class="row wrap"><button class="btn" disabled={began > 0} onClick={run}><Icon name="timer" size={14} />{tr(`Trace ${length} s`, `追踪 ${length} 秒`)}</button><span class="small dim grow">{tr('Each message with its type and time. What it says is not kept.', '逐条列出消息类型与耗时，不含内容。')}</span></div>
			{began > 0 && <progress class="progress" max={length} value={Math.min(length, (wall.value - began) / 1000)} aria-label={tr('Tracing', '追踪中')} />}
			{found && <Seen of={found} />}
		</section>
	)
}

function Seen({ of: w }: { of: Watched }) {
	const longest = Math.max(1e-9, ...w.messages.map(m => m.handle_seconds))
	if (w.handled === 0) return <p class="small dim">{tr('It handled nothing in that time.', '期间没有处理任何消息。')}</p>
	return (
		<>
			<div class="row small wrap">{w.kinds.slice(0, 6).map(k => <span class="status off" title={tr(`${span(k.total_seconds)} in all, at most ${span(k.max_seconds)}`, `共 ${span(k.total_seconds)}，最长 ${span(k.max_seconds)}`)}><code>{k.message}</code> {count(k.count)}</span>)}{w.dropped > 0 && <span class="c-warn">{tr(`${count(w.dropped)} came too fast to be told of`, `${count(w.dropped)} 条过快未列出`)}</span>}</div>
			<div class="card scroll traced" tabIndex={0} role="region" aria-label={tr('Traced messages', '追踪到的消息')}><table class="t"><thead><tr><th>{tr('Time', '时间')}</th><th>{tr('Type', '类型')}</th><th class="num">{tr('Took', '耗时')}</th><th><span class="sr">{tr('Took, drawn', '耗时图示')}</span></th><th class="num">{tr('Waiting', '排队')}</th></tr></thead>
				<tbody>{w.messages.slice(-300).map(m => <tr><td class="nums">{clock(m.time, true)}</td><td class="mono fluid" title={m.message}>{m.failed && <Icon name="octagon-x" size={12} cls="c-crit" label={tr('failed', '失败')} />} {m.message}</td><td class="num">{span(m.handle_seconds)}</td><td><i class="reach short"><i class={m.failed ? 'crit' : ''} style={{ width: Math.max(2, (m.handle_seconds / longest) * 100) + '%' }} /></i></td><td class="num">{count(m.waiting)}</td></tr>)}</tbody></table></div>
		</>
	)
}
