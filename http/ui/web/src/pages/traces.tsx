import type { ComponentChildren } from 'preact'
import { Drawer, Drawers } from '../parts/drawer'
import { Facts } from '../parts/marks'
import { Card, Empty, Shown } from '../parts/panel'
import { Status } from '../parts/status'
import { Table, type Column } from '../parts/table'
import { count, day, exact, span } from '../state/format'
import { useResource } from '../state/resource'
import { href, param, set } from '../state/route'
import { tr } from '../state/words'

interface Head { trace_id: string; start_time: string; duration_seconds: number; slow: boolean; failed: boolean; service: string; name: string; error?: string; spans: number; services: string[] }
interface Span { span_id: string; parent_span_id?: string; node: string; service: string; name: string; path?: string; start_time: string; duration_seconds: number; code?: number; failed: boolean; error?: string; request_id?: string }
interface Trace extends Head { missing_spans: number; tree: Span[] }

const verdict = (t: { failed: boolean; slow?: boolean }) => t.failed ? <Status level="crit" word={tr('failed', '失败')} /> : <Status level="warn" word={tr('slow', '缓慢')} />

/** Requests that took long or failed, of all processes, and the way each took. */
export function Traces({ banner, tabs }: { banner: ComponentChildren; tabs: ComponentChildren }) {
	const list = useResource<{ traces: Head[]; kept: number }>('monitoring/traces?limit=500', 5000)
	const sel = param('sel')
	const columns: Column<Head>[] = [
		{ key: 'time', title: tr('Time', '时间'), cell: t => <span class="nums" title={exact(t.start_time)}>{day(t.start_time)}</span>, value: t => t.start_time },
		{ key: 'verdict', title: tr('Kept as', '原因'), cell: verdict, value: t => t.failed ? 1 : 0 },
		{ key: 'took', title: tr('Took', '耗时'), num: true, cell: t => span(t.duration_seconds), value: t => t.duration_seconds },
		{ key: 'name', title: tr('Request', '请求'), fluid: true, cell: t => <span title={t.error}><code>{t.name}</code> <span class="dim">{t.error}</span></span>, value: t => t.name },
		{ key: 'services', title: tr('Through', '经过'), far: true, cell: t => <span class="dim">{t.services.join(' → ')}</span>, value: t => t.services.length },
		{ key: 'spans', title: tr('Spans', '跨度'), num: true, far: true, cell: t => count(t.spans), value: t => t.spans },
	]
	return (
		<>
			<main id="main" tabIndex={-1}>
				{banner}
				<div class="filters">{tabs}</div>
				<Card title={tr('Slow and failed requests', '缓慢与失败的请求')} hint={list.data && tr(`${count(list.data.kept)} kept`, `保留 ${count(list.data.kept)} 条`)}>
					<Shown of={list} what={tr('The list of traces', '追踪列表')}>{l => l.traces.length === 0 ? <Empty title={tr('Nothing was slow, and nothing failed', '没有缓慢或失败的请求')} />
						: <Table rows={l.traces} columns={columns} id={t => t.trace_id} label={tr('Traces', '追踪')} height={640} selected={sel} pick={t => set({ sel: t.trace_id }, 'push')} />}</Shown>
				</Card>
			</main>
			<Drawers>{(id, close) => <TraceDrawer id={id} close={close} />}</Drawers>
		</>
	)
}

/** How deep below the first each span is. */
function depths(tree: Span[]): Map<string, number> {
	const deep = new Map<string, number>()
	for (const s of tree) deep.set(s.span_id, (deep.get(s.parent_span_id ?? '') ?? -1) + 1)
	return deep
}

function TraceDrawer({ id, close }: { id: string; close: () => void }) {
	const trace = useResource<Trace>('monitoring/traces/' + id, 5000)
	return (
		<Drawer id={id} path={tr('Trace', '追踪')} title={trace.data?.name ?? id} close={close}>
			<Shown of={trace} what={tr('This trace', '该追踪')}>{t => {
				const deep = depths(t.tree)
				const begin = new Date(t.start_time).getTime()
				const whole = Math.max(1, ...t.tree.map(s => new Date(s.start_time).getTime() - begin + s.duration_seconds * 1000))
				const request = t.tree.find(s => s.request_id)?.request_id
				return (
					<>
						<section><Facts rows={[[tr('Time', '时间'), exact(t.start_time)], [tr('Took', '耗时'), span(t.duration_seconds)], [tr('Kept as', '原因'), verdict(t)], ...(t.error ? [[tr('Error', '错误'), t.error] as [string, string]] : []),
							[tr('Log', '日志'), <a href={href('logs', { trace_id: t.trace_id })}>{t.trace_id}</a>], ...(request ? [[tr('Request', '请求'), <a href={href('logs', { request_id: request })}>{request}</a>] as [string, ComponentChildren]] : [])]} /></section>
						<section><h3>{tr('Spans', '跨度')}<span>{t.missing_spans > 0 ? tr(`${count(t.missing_spans)} more`, `另有 ${count(t.missing_spans)} 个`) : ''}</span></h3>
							<ol class="spans">{t.tree.map(s => (
								<li style={{ paddingLeft: Math.min(6, deep.get(s.span_id) ?? 0) * 12 + 'px' }}>
									<span class="row"><b class="clip">{s.service}</b><span class="dim clip">{s.node}</span><span class="nums">{s.code ?? ''} {span(s.duration_seconds)}</span></span>
									<span class="mono dim clip" title={s.error}>{s.path ?? s.name}{s.error ? ' · ' + s.error : ''}</span>
									<span class="reach"><i class={s.failed ? 'crit' : ''} style={{ marginLeft: ((new Date(s.start_time).getTime() - begin) / whole) * 100 + '%', width: Math.max(0.5, (s.duration_seconds * 100_000) / whole) + '%' }} /></span>
								</li>
							))}</ol></section>
					</>
				)
			}}</Shown>
		</Drawer>
	)
}
