import type { ComponentChildren } from 'preact'
import { confirm } from '../parts/confirm'
import { Facts } from '../parts/marks'
import { Card, Empty, Shown } from '../parts/panel'
import { Status, type Level } from '../parts/status'
import { Table, type Column } from '../parts/table'
import { send } from '../state/api'
import { absent, count, day, exact, percent, since, span } from '../state/format'
import { now } from '../state/live'
import { useResource } from '../state/resource'
import { tr } from '../state/words'

interface Node { id: string; address: string; services: { service: string; url: string }[]; version: string; state: 'up' | 'draining' | 'drained' | 'unreachable'; since: string | null; weight: number; planned: number; recording: number; waiting: number; revision: number; drain?: { by?: string; reason?: string; since: string }; consul?: { reached: boolean; problem?: string }; problem?: string }
interface Lease { job: string; holder: string; since: string | null; fence: number }
interface Move { stream: string; from: string; to: string; revision: number; at: string }
interface Owner { stream: string; node: string; state: 'settled' | 'moving' | 'unknown' }
interface View { provider: string; self: string; nodes: Node[]; leases: Lease[]; placement: { revision: number; made: string | null; by: string; streams: number; unplaced: string[]; owners?: Owner[] }; moves: Move[]; problems: string[] }

function stateOf(n: Node): [Level, string] {
	switch (n.state) {
		case 'up': return n.problem ? ['warn', tr('Up, with a problem', '在线，有问题')] : ['ok', tr('Up', '在线')]
		case 'draining': return ['work', tr('Draining', '排空中')]
		case 'drained': return ['off', tr('Drained', '已排空')]
		case 'unreachable': return ['crit', tr('Unreachable', '不可达')]
	}
}

/** A service without what all have in their names. */
const short = (service: string) => service.replace(/-service$/, '').replace('market-data-', '').replace('data-', '').replace('message-', '').replace('api-', '')

export function Cluster({ banner }: { banner: ComponentChildren }) {
	const view = useResource<View>('cluster', 2000)
	return (
		<main id="main" tabIndex={-1}>
			{banner}
			<Shown of={view} what={tr('The monitoring service', '监控服务')}>{v => (
				<div class="stack">
					{v.problems.length > 0 && <section class="card pad" role="status">{v.problems.map(p => <div><Status level="warn" word={p} /></div>)}</section>}
					<section class="nodes" aria-label={tr('Nodes', '节点')}>{v.nodes.map(n => <NodeCard key={n.id} node={n} view={v} done={view.retry} />)}</section>
					<Placement view={v} />
					<div class="half">
						<Card title={tr('Leases', '租约')} hint={tr('what one node does for all', '由单个节点代劳的工作')}>{v.leases.length === 0 ? <Empty title={tr('No leases', '没有租约')}>{tr('A node that is alone does everything itself.', '单节点时无需租约。')}</Empty> : <Table rows={v.leases} columns={leaseColumns()} id={l => l.job} label={tr('Leases', '租约')} sortName="leases" height={220} />}</Card>
						<Card title={tr('Moves', '迁移')} hint={tr('newest first', '最新在前')}>{v.moves.length === 0 ? <Empty title={tr('Nothing has moved', '尚无迁移')}>{tr('Streams move when nodes come, go or drain.', '节点加入、离开或排空时流会迁移。')}</Empty> : <Table rows={v.moves} columns={moveColumns()} id={m => m.revision + m.stream} label={tr('Moves', '迁移')} sortName="moves" height={320} />}</Card>
					</div>
				</div>
			)}</Shown>
		</main>
	)
}

const leaseColumns = (): Column<Lease>[] => [
	{ key: 'job', title: tr('Job', '职责'), fluid: true, cell: l => l.job, value: l => l.job },
	{ key: 'holder', title: tr('Holder', '持有者'), cell: l => l.holder || <Status level="warn" word={tr('nobody', '无')} />, value: l => l.holder },
	{ key: 'fence', title: tr('Fence', '栅栏号'), num: true, cell: l => l.fence ? count(l.fence) : absent, value: l => l.fence },
	{ key: 'since', title: tr('For', '已持有'), num: true, cell: l => <span title={exact(l.since)}>{l.since ? span(Math.round(since(l.since, now.value))) : absent}</span>, value: l => l.since },
]

const moveColumns = (): Column<Move>[] => [
	{ key: 'at', title: tr('At', '时间'), cell: m => <span class="nums" title={exact(m.at)}>{day(m.at)}</span>, value: m => m.at },
	{ key: 'stream', title: tr('Stream', '流'), fluid: true, cell: m => <span class="mono">{m.stream}</span>, value: m => m.stream },
	{ key: 'from', title: tr('From', '从'), cell: m => m.from || absent, value: m => m.from },
	{ key: 'to', title: tr('To', '到'), cell: m => m.to || absent, value: m => m.to },
	{ key: 'plan', title: tr('Plan', '计划'), num: true, far: true, cell: m => count(m.revision), value: m => m.revision },
]

function NodeCard({ node: n, view: v, done }: { node: Node; view: View; done: () => void }) {
	const [level, word] = stateOf(n)
	const jobs = v.leases.filter(l => l.holder === n.id).map(l => l.job)
	const path = `cluster/nodes/${encodeURIComponent(n.id)}/`
	const drain = () => confirm({ title: tr(`Drain ${n.id}?`, `排空 ${n.id}？`), says: tr(`${n.recording} streams move to the other nodes without a hole${jobs.length > 0 ? `, and it gives back ${jobs.join(', ')}` : ''}. It takes none until it is used again.`, `${n.recording} 个流将无缝迁移到其他节点${jobs.length > 0 ? `，并交还 ${jobs.join('、')}` : ''}。恢复使用前不再接收。`), act: tr(`Drain ${n.recording} streams`, `排空 ${n.recording} 个流`), risk: true, reason: true, go: async reason => { await send('POST', path + 'drain', { reason }); done(); return n.id } })
	const undrain = () => confirm({ title: tr(`Use ${n.id} again?`, `恢复使用 ${n.id}？`), says: tr('It takes its share of the streams again.', '它将重新接收应得的流。'), act: tr('Use it again', '恢复使用'), go: async () => { await send('POST', path + 'undrain', {}); done(); return n.id } })
	return (
		<Card title={<>{n.id} {n.id === v.self && <span class="dim small">{tr('answers you', '当前应答')}</span>}</>} end={<Status level={level} word={word} />}>
			<div class="pad">
				<Facts rows={[
					[tr('Address', '地址'), <span class="mono">{n.address}</span>],
					[tr('Version', '版本'), n.version || absent],
					[tr('Up for', '已运行'), <span title={exact(n.since)}>{n.since ? span(Math.round(since(n.since, now.value))) : absent}</span>],
					[tr('Streams', '流'), <>{count(n.recording)} <span class="dim">{tr(`of ${n.planned} planned`, `计划 ${n.planned}`)}</span>{n.waiting > 0 && <span class="c-work"> {tr(`${n.waiting} coming`, `${n.waiting} 迁入中`)}</span>}</>],
					[tr('Weight', '权重'), n.weight || absent],
					[tr('Leases', '租约'), jobs.join(', ') || absent],
					[tr('Services', '服务'), <span class="dim">{n.services.map(s => short(s.service)).join(' · ') || absent}</span>],
					...(n.consul ? [['Consul', n.consul.reached ? <Status level="ok" word={tr('reached', '可达')} /> : <span title={n.consul.problem}><Status level="warn" word={tr('not reached', '不可达')} /></span>] as [ComponentChildren, ComponentChildren]] : []),
				]} />
				{n.problem && <p class="c-warn small">{n.problem}</p>}
				{n.drain && <p class="dim small" title={exact(n.drain.since)}>{tr(`To be drained since ${day(n.drain.since)}`, `自 ${day(n.drain.since)} 起排空`)}{n.drain.by && tr(`, by ${n.drain.by}`, `，操作者 ${n.drain.by}`)}{n.drain.reason && ': ' + n.drain.reason}</p>}
				{v.nodes.length > 1 && n.state !== 'unreachable' && <p class="row">{n.drain ? <button class="btn" onClick={undrain}>{tr('Use again…', '恢复使用…')}</button> : n.weight > 0 && <button class="btn" onClick={drain}>{tr('Drain…', '排空…')}</button>}</p>}
			</div>
		</Card>
	)
}

/** Which node has how many streams of which market. */
function Placement({ view: v }: { view: View }) {
	const markets = new Map<string, Map<string, number>>()
	let moving = 0
	for (const o of v.placement.owners ?? []) {
		const market = o.stream.slice(0, o.stream.lastIndexOf('/'))
		let row = markets.get(market)
		if (!row) markets.set(market, (row = new Map()))
		row.set(o.node, (row.get(o.node) ?? 0) + 1)
		if (o.state === 'moving') moving++
	}
	const nodes = v.nodes.filter(n => n.weight > 0 || n.planned > 0)
	const hint = v.placement.revision === 0 ? tr('no plan: every node collects what it is told', '无计划：各节点按配置采集')
		: tr(`plan ${v.placement.revision} by ${v.placement.by}`, `计划 ${v.placement.revision}，由 ${v.placement.by} 制定`)
	const sum = (of: Map<string, number>) => [...of.values()].reduce((a, b) => a + b, 0)
	const total = nodes.map(n => [...markets.values()].reduce((a, row) => a + (row.get(n.id) ?? 0), 0))
	const all = total.reduce((a, b) => a + b, 0)
	return (
		<Card title={tr('Placement', '放置')} hint={<span title={exact(v.placement.made)}>{hint}</span>} end={<>{moving > 0 && <Status level="work" word={tr(`${moving} moving`, `${moving} 迁移中`)} />}{v.placement.unplaced.length > 0 && <span title={v.placement.unplaced.join(' ')}><Status level="crit" word={tr(`${v.placement.unplaced.length} without a place`, `${v.placement.unplaced.length} 无处放置`)} /></span>}</>}>
			{markets.size === 0 ? <Empty title={tr('Nothing is placed', '尚未放置')}>{tr('Streams are placed where several nodes collect.', '多个节点采集时才会放置流。')}</Empty> : (
				<div class="scroll" tabIndex={0} role="region" aria-label={tr('Placement', '放置')}><table class="t"><thead><tr><th>{tr('Market', '市场')}</th>{nodes.map(n => <th class="num">{n.id}</th>)}<th class="num">{tr('All', '合计')}</th></tr></thead>
					<tbody>{[...markets].sort(([a], [b]) => a.localeCompare(b)).map(([market, row]) => <tr key={market}><td class="mono">{market}</td>{nodes.map(n => <td class="num">{row.get(n.id) ? count(row.get(n.id)!) : <span class="dim">{absent}</span>}</td>)}<td class="num">{count(sum(row))}</td></tr>)}
						<tr><td><b>{tr('All', '合计')}</b></td>{total.map(n => <td class="num"><b>{count(n)}</b> <span class="dim">{all ? percent(n / all) : ''}</span></td>)}<td class="num"><b>{count(all)}</b></td></tr></tbody></table></div>
			)}
		</Card>
	)
}
