import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { Filter } from '../parts/choice'
import { useColumns } from '../parts/columns'
import { confirm } from '../parts/confirm'
import { Facts } from '../parts/marks'
import { Card, Empty, Shown } from '../parts/panel'
import { Status, type Level } from '../parts/status'
import { Table, type Column } from '../parts/table'
import { refused, toast } from '../parts/toast'
import { Twin, TwinButton } from '../parts/twin'
import { param } from '../state/route'
import { send } from '../state/api'
import { absent, count, day, exact, minute, percent, since, span } from '../state/format'
import { now } from '../state/moment'
import { useInstants, type Series } from '../state/promql'
import { queries } from '../state/queries'
import { useResource } from '../state/resource'
import { plural, tr } from '../state/words'

interface Node { id: string; address: string; services: { service: string; url: string }[]; version: string; state: 'up' | 'draining' | 'drained' | 'unreachable'; since: string | null; weight: number; planned: number; recording: number; waiting: number; revision: number; drain?: { by?: string; reason?: string; since: string }; consul?: { reached: boolean; problem?: string }; problem?: string }
interface Lease { job: string; holder: string; since: string | null; fence: number }
interface Move { stream: string; from: string; to: string; revision: number; at: string }
interface Owner { stream: string; node: string; state: 'settled' | 'moving' | 'unknown' }
interface View { provider: string; self: string; nodes: Node[]; leases: Lease[]; placement: { revision: number; made: string | null; by: string; streams: number; unplaced: string[]; owners?: Owner[]; pins?: Pin[] }; moves: Move[]; journal?: Journal; problems: string[] }
interface Pin { stream: string; node: string; by?: string; reason?: string; since: string; until: string | null; held: boolean }
interface Journal { replicas: number; quorum: boolean; shards: { shard: number; leader: string; quorum: boolean; messages: number; first: number; last: number; copies: { node: string; leader: boolean; there: boolean; current: boolean; lag: number; heard_seconds: number }[] }[] }

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
	const view = useResource<View>('monitoring/cluster', 2000)
	const machine = useInstants(queries('cpu_by_instance', 'clock_by_instance', 'behind_by_instance', 'standby_by_instance', 'incomplete_by_instance', 'faulted_by_instance'), 5000)
	return (
		<main id="main" tabIndex={-1}>
			{banner}
			<Shown of={view} what={tr('The monitoring service', '监控服务')}>{v => (
				<div class="stack">
					{v.problems.length > 0 && <section class="card pad" role="status">{v.problems.map(p => <div><Status level="warn" word={p} /></div>)}</section>}
					<section class="nodes" aria-label={tr('Nodes', '节点')}>{v.nodes.map(n => <NodeCard key={n.id} node={n} view={v} machine={machine.data} done={view.retry} />)}</section>
					<Placement view={v} />
					{v.journal && <Quorum of={v.journal} />}
					{(v.placement.owners?.length ?? 0) > 0 && <Owners view={v} done={view.retry} />}
					{v.leases.length > 0 && <LeaseLine view={v} />}
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

/** What an instance of the node says of itself: metrics name it by the address that it was read at. */
function said(series: Series[] | undefined, n: Node): number | undefined {
	const hosts = new Set(n.services.map(s => new URL(s.url).host))
	return series?.find(s => hosts.has(s.labels.instance ?? ''))?.points.at(-1)?.[1]
}

/** How a node's store stands: a full copy, one that is being made, or one that another node writes. */
function storeOf(m: Record<string, Series[]> | undefined, n: Node): ComponentChildren {
	const behind = said(m?.behind_by_instance, n)
	if (behind === undefined) return absent
	if (said(m?.faulted_by_instance, n)) return <Status level="crit" word={tr('Stopped reading', '停止读取')} />
	if (said(m?.incomplete_by_instance, n)) return <Status level="work" word={tr('Copying', '复制中')} />
	if (said(m?.standby_by_instance, n)) return <Status level="off" word={tr('Standby', '待命')} />
	return <Status level={behind > 10 ? 'warn' : 'ok'} word={behind > 1 ? tr(`${span(behind)} behind`, `落后 ${span(behind)}`) : tr('Up to date', '已同步')} />
}

function NodeCard({ node: n, view: v, machine, done }: { node: Node; view: View; machine: Record<string, Series[]> | undefined; done: () => void }) {
	const [level, word] = stateOf(n)
	const jobs = v.leases.filter(l => l.holder === n.id).map(l => l.job)
	const path = `monitoring/cluster/nodes/${encodeURIComponent(n.id)}/`
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
					['CPU', percent((said(machine?.cpu_by_instance, n) ?? NaN) / 100)],
					[tr('Clock offset', '时钟偏差'), span(said(machine?.clock_by_instance, n))],
					[tr('Store', '存储'), storeOf(machine, n)],
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

/** Who holds which lease, over the last hour. What was before is not known. */
function LeaseLine({ view: v }: { view: View }) {
	const whole = 3_600_000, begin = now.value - whole
	return (
		<Card title={tr('Leases, last hour', '租约，最近一小时')} hint={tr('who does what one node does for all', '由谁代劳')} end={<TwinButton />}>
			<Twin label={tr('Leases', '租约')} head={[tr('Job', '职责'), tr('Holder', '持有者'), '#' + tr('Fence', '栅栏号'), '#' + tr('For', '已持有')]} rows={() => v.leases.map(l => [l.job, l.holder || absent, l.fence ? count(l.fence) : absent, l.since ? span(Math.round(since(l.since, now.value))) : absent])}>
				<div class="pad fires"><span class="label">{tr('Job', '职责')}</span><span class="row label ticks">{[0, 15, 30, 45].map(m => <span class="nums">{minute(begin + m * 60_000)}</span>)}<span>{tr('now', '现在')}</span></span><span class="num label">{tr('Fence', '栅栏号')}</span>
					{v.leases.map(l => {
						const from = l.since ? Math.max(0, ((new Date(l.since).getTime() - begin) / whole) * 100) : 0
						return <><span class="clip">{l.job}</span><div class="timeline lease" role="img" aria-label={tr(`${l.job}: ${l.holder || 'nobody'}`, `${l.job}：${l.holder || '无'}`)}>{from > 0 && <i class="seg none" style={{ left: 0, width: from + '%' }} />}<i class={'seg ' + (l.holder ? 'live' : 'gap')} style={{ left: from + '%', width: 100 - from + '%' }}><span class="clip">{l.holder || tr('nobody', '无')}</span></i></div><span class="num">{l.fence ? count(l.fence) : absent}</span></>
					})}
				</div>
			</Twin>
		</Card>
	)
}

/** How the journal is replicated: who leads each shard, and how far its copies are. */
function Quorum({ of: j }: { of: Journal }) {
	return (
		<Card title={tr('Journal', '预写日志')} hint={tr(`${j.replicas} ${plural(j.replicas, 'copy', 'copies')} of each shard`, `每个分片 ${j.replicas} 份`)} end={<Status level={j.quorum ? 'ok' : 'crit'} word={j.quorum ? tr('Can be written', '可写入') : tr('No majority', '无多数派')} />}>
			<div class="scroll" tabIndex={0} role="region" aria-label={tr('Journal', '预写日志')}><table class="t"><thead><tr><th>{tr('Shard', '分片')}</th><th>{tr('Leader', '主副本')}</th><th>{tr('Copies', '副本')}</th><th class="num">{tr('Newest', '最新位置')}</th></tr></thead>
				<tbody>{j.shards.map(s => <tr><td class="nums">{s.shard}</td><td>{s.leader || <Status level="crit" word={tr('none', '无')} />}</td><td><span class="row wrap">{s.copies.map(c => <Status level={!c.there ? 'crit' : c.current ? 'ok' : 'warn'} word={c.node + (c.leader ? ' ★' : c.lag ? ` −${count(c.lag)}` : '')} />)}</span></td><td class="num">{count(s.last)}</td></tr>)}</tbody></table></div>
		</Card>
	)
}

/** Every stream with its owner; one can be put somewhere else. */
function Owners({ view: v, done }: { view: View; done: () => void }) {
	const [moving, move] = useState('')
	const q = param('q').toLowerCase()
	const pins = new Map((v.placement.pins ?? []).map(p => [p.stream, p]))
	const rows = (v.placement.owners ?? []).filter(o => (o.stream + ' ' + o.node).toLowerCase().includes(q))
	const unpin = (stream: string) => confirm({ title: tr(`Let ${stream} be placed as any other?`, `取消固定 ${stream}？`), says: tr('It stays where it is until something is a reason to move it.', '在有迁移理由之前保持原位。'), act: tr('Unpin', '取消固定'), go: async () => { await send('POST', `monitoring/cluster/streams/${encodeURIComponent(stream)}/unpin`, {}); done(); return stream } })
	const columns: Column<Owner>[] = [
		{ key: 'stream', title: tr('Stream', '流'), fluid: true, cell: o => <span class="mono">{o.stream}</span>, value: o => o.stream },
		{ key: 'node', title: tr('Node', '节点'), cell: o => o.node, value: o => o.node },
		{ key: 'state', title: tr('State', '状态'), cell: o => <Status level={o.state === 'settled' ? 'ok' : o.state === 'moving' ? 'work' : 'unknown'} word={o.state === 'settled' ? tr('There', '就位') : o.state === 'moving' ? tr('Moving', '迁移中') : tr('Unknown', '未知')} />, value: o => o.state },
		{ key: 'pin', title: tr('Pinned', '固定'), cell: o => { const p = pins.get(o.stream); return p ? <span class={p.held ? '' : 'c-warn'} title={p.reason}>{p.node}{p.until && ' ' + tr(`until ${day(p.until)}`, `至 ${day(p.until)}`)}</span> : <span class="dim">{absent}</span> }, value: o => pins.get(o.stream)?.node },
		{ key: 'act', title: tr('Act', '操作'), cell: o => <span class="row"><button class="btn" aria-expanded={moving === o.stream} onClick={() => move(moving === o.stream ? '' : o.stream)}>{tr('Move…', '迁移…')}</button>{pins.has(o.stream) && <button class="btn" onClick={() => unpin(o.stream)}>{tr('Unpin…', '取消固定…')}</button>}</span>, value: () => null },
	]
	const [shown, tools] = useColumns('owners', columns, rows)
	return (
		<Card title={tr('Streams', '流')} hint={count(rows.length)} end={<><Filter hint={tr('Stream or node', '流或节点')} width={180} />{tools}</>}>
			{moving && <MoveForm stream={moving} view={v} close={() => move('')} done={done} />}
			<Table rows={rows} columns={shown} id={o => o.stream} label={tr('Streams', '流')} sortName="owners" height={360} />
		</Card>
	)
}

function MoveForm({ stream, view: v, close, done }: { stream: string; view: View; close: () => void; done: () => void }) {
	const own = v.placement.owners?.find(o => o.stream === stream)?.node
	const able = v.nodes.filter(n => n.weight > 0 && n.state === 'up' && n.id !== own)
	const [to, setTo] = useState(able[0]?.id ?? '')
	const [lasting, setLasting] = useState('')
	const [reason, setReason] = useState('')
	const go = async (e: Event) => {
		e.preventDefault()
		try {
			const a = await send<{ message: string }>('POST', `monitoring/cluster/streams/${encodeURIComponent(stream)}/move`, { node: to, ...(lasting ? { for: lasting } : {}), reason })
			toast('ok', tr(`${stream} moves to ${to}`, `${stream} 迁移至 ${to}`), a.message)
			done()
			close()
		} catch (err) { refused(tr('The move was refused', '迁移被拒绝'), err) }
	}
	return (
		<form class="pad row wrap moveform" onSubmit={go}><b class="mono">{stream}</b><span class="small mid">{tr(`from ${own ?? absent}, without a hole`, `自 ${own ?? absent}，无缝迁移`)}</span>
			<label class="row small"><span class="dim">{tr('To', '到')}</span><select class="text" value={to} onChange={e => setTo(e.currentTarget.value)}>{able.map(n => <option value={n.id}>{n.id}</option>)}</select></label>
			<label class="row small"><span class="dim">{tr('For', '时长')}</span><select class="text" value={lasting} onChange={e => setLasting(e.currentTarget.value)}><option value="">{tr('until unpinned', '直到取消固定')}</option>{['1h', '8h', '24h'].map(h => <option value={h}>{h}</option>)}</select></label>
			<label class="row small grow"><span class="dim">{tr('Why', '原因')}</span><input class="text" value={reason} onInput={e => setReason(e.currentTarget.value)} /></label>
			<button class="btn" type="button" onClick={close}>{tr('Leave it', '不操作')}</button><button class="btn main" type="submit" disabled={!to}>{tr('Move it', '迁移')}</button></form>
	)
}
