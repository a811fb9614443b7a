import { useEffect } from 'preact/hooks'
import { get, send } from '../../state/api'
import { confirm } from '../../parts/confirm'
import { Drawer } from '../../parts/drawer'
import { Icon } from '../../parts/icon'
import { Facts, Pips } from '../../parts/marks'
import { Shown } from '../../parts/panel'
import { Status } from '../../parts/status'
import { absent, clock, count, day, exact, rate, since, span } from '../../state/format'
import { now } from '../../state/moment'
import { bind } from '../../state/keys'
import { useAsked, useResource } from '../../state/resource'
import { href } from '../../state/route'
import { plural, tr } from '../../state/words'
import type { ActorEvent, Failure } from './event_line'
import { Lifeline, livesOf } from './lifeline'
import { Trace } from './trace'
import type { Row } from './tree'

interface Message { message: string; handled_total: number; handle_mean_seconds: number; handle_p99_seconds?: number; handle_max_seconds: number }
interface Node {
	id: string; name: string; kind: string; state: string; supervisor: boolean; restart: string; started_at: string; incarnation: number; rate: number; busy_ratio: number; handled_total: number; goroutines: number
	mailbox: { depth: number; max_depth: number; capacity: number; overflow: string; dropped_total: number; wait_mean_seconds: number; wait_p99_seconds?: number; wait_max_seconds: number; wait_buckets?: { below_seconds: number; count: number }[] }
	operations_allowed: boolean; messages?: Message[]; dead_letters_total: number; restarts_total: number; failures_total: number; last_failure?: Failure; budget?: { restarts: number; within_seconds: number; left: number; restarts_total: number; next_at?: string }; strategy?: string; note?: string
}

const kindsOfLife = 'started,ready,failed,backoff,restarted,stopped,escalated,abandoned'

/** At is the node that has the actor; '' is the one that answers, which alone tells of events and messages. */
export function ActorDrawer({ id, row, all, at: elsewhere, close }: { id: string; row: Row | undefined; all: Row[]; at: string; close: () => void }) {
	const there = elsewhere && '?node=' + encodeURIComponent(elsewhere)
	const node = useResource<Node>('monitoring/actors/' + encodeURIComponent(id) + there, 1000)
	const events = useAsked(elsewhere ? '' : 'events ' + id, async s => (await get<{ events: ActorEvent[] }>(`monitoring/actors/events?limit=2000&event=${kindsOfLife}&actor=${encodeURIComponent(id)}`, s)).events.filter(e => e.id === id), 1500)
	const chain: Row[] = []
	for (let at = row; at; at = all.find(r => r.id === at!.parent)) chain.push(at)
	const supervisor = chain[1]
	const children = all.filter(r => r.parent === id)
	return (
		<Drawer id={id} path={id.split('/').slice(0, -1).join(' / ')} title={row?.name ?? id.split('/').at(-1)!} status={row && <Status level={row.level} word={row.word} />} close={close} acts={<Acts id={id} there={there} row={row} below={row?.below ?? 0} allowed={node.data?.operations_allowed} />}>
			<Shown of={node} what={tr('This actor', '该 Actor')}>{n => (
				<>
					<div class="cells">
						<div><span class="label">{tr('Messages', '消息')}</span><b>{rate(n.rate)}<span class="unit">/s</span></b></div>
						<div><span class="label">{tr('Mailbox', '邮箱')}</span><b>{count(n.mailbox.depth)}<span class="unit">/ {count(n.mailbox.capacity)}</span></b></div>
						<div><span class="label">{tr('Wait p99', '等待 p99')}</span><b>{span(n.mailbox.wait_p99_seconds ?? n.mailbox.wait_mean_seconds)}</b></div>
						<div><span class="label">{tr('Busy', '忙碌')}</span><b>{(n.busy_ratio * 100).toFixed(1)}<span class="unit">%</span></b></div>
					</div>
					<section><h3>{tr('Lives', '生命周期')}<span>{tr(`life ${n.incarnation}, alive ${span(Math.round(since(n.started_at, now.value)))}`, `第 ${n.incarnation} 次，已存活 ${span(Math.round(since(n.started_at, now.value)))}`)}</span></h3>
						{!elsewhere && <Shown of={events} what={tr('Its history', '历史')}>{e => <Lifeline events={e} />}</Shown>}</section>
					{(n.budget ?? supervisor?.budget) && <Budget node={n} supervisor={supervisor} chain={chain} />}
					{n.last_failure && <Why failure={n.last_failure} node={n} />}
					{n.messages && n.messages.length > 0 && <section><h3>{tr('By message', '按消息类型')}<span>{tr(`${count(n.handled_total)} handled`, `已处理 ${count(n.handled_total)}`)}</span></h3>
						<div class="card scroll" tabIndex={0} role="region" aria-label={tr('By message', '按消息类型')}><table class="t"><thead><tr><th>{tr('Type', '类型')}</th><th class="num">{tr('Count', '次数')}</th><th class="num">{tr('mean', '平均')}</th><th class="num">p99</th></tr></thead>
							<tbody>{[...n.messages].sort((a, b) => b.handled_total - a.handled_total).map(m => <tr><td class="mono fluid" title={m.message}>{m.message}</td><td class="num">{count(m.handled_total)}</td><td class="num">{m.handle_mean_seconds ? span(m.handle_mean_seconds) : absent}</td><td class="num">{span(m.handle_p99_seconds || m.handle_max_seconds || undefined)}</td></tr>)}</tbody></table></div></section>}
					{(events.data?.length ?? 0) > 0 && <LivesTable events={events.data!} />}
					{!elsewhere && <Trace id={id} />}
					<Waits node={n} />
					<section><h3>{tr('Facts', '信息')}</h3><Facts rows={[
						[tr('Kind', '类型'), n.kind], [tr('Restarted', '重启策略'), n.restart], ...(n.strategy ? [[tr('Strategy', '监督策略'), n.strategy] as [string, string]] : []), [tr('When full', '邮箱满时'), n.mailbox.overflow.replace('_', ' ')],
						[tr('Dropped', '丢弃'), count(n.mailbox.dropped_total)], [tr('Deepest mailbox', '邮箱最深'), count(n.mailbox.max_depth)], [tr('Dead letters', '死信'), count(n.dead_letters_total)], [tr('Goroutines', 'Goroutine'), count(n.goroutines)],
					]} /></section>
					{children.length > 0 && <section><h3>{tr('Children', '下级')}<span>{count(children.length)}</span></h3><ul class="kids">{children.slice(0, 60).map(c => <li><a class="row plain-link" href={href('actors', { sel: c.id, node: elsewhere || undefined })}><Status level={c.level} word={c.word} /><span class="clip">{c.name}</span></a></li>)}</ul></section>}
				</>
			)}</Shown>
		</Drawer>
	)
}

function Acts({ id, there, row, below, allowed }: { id: string; there: string; row: Row | undefined; below: number; allowed: boolean | undefined }) {
	const n = below + 1
	const acts = {
		restart: [tr(`Restart ${row?.name}?`, `重启 ${row?.name}？`), tr(`${n} ${plural(n, 'actor stops and starts', 'actors stop and start')} again. What waits in the mailbox is kept; a stream fetches a new snapshot.`, `${n} 个 Actor 将停止并重新启动。邮箱中的消息会保留；数据流会重新获取快照。`), tr('Restart', '重启')],
		kill: [tr(`Kill ${row?.name}?`, `使 ${row?.name} 失败？`), tr('It fails as by a bug of its own, to rehearse one. Its supervisor spends a restart, waits, and starts it again; without one left it escalates. A stream is blind meanwhile.', '它将如自身缺陷般失败，用于演练。上级消耗一次重启额度，退避后重新启动；额度用尽则上报。期间数据流中断。'), tr('Kill', '使其失败')],
		stop: [tr(`Stop ${row?.name}?`, `停止 ${row?.name}？`), tr(`${n} ${plural(n, 'actor stops', 'actors stop')} and stay so until restarted. A stream that stops opens a gap.`, `${n} 个 Actor 停止，直到再次启动。停止的数据流会产生缺口。`), tr(`Stop ${n}`, `停止 ${n} 个`)],
	} as const
	const act = (kind: keyof typeof acts) => confirm({
		title: acts[kind][0], says: acts[kind][1], act: acts[kind][2], risk: kind !== 'restart', name: kind !== 'restart' && below > 1 ? row?.name : undefined, reason: true,
		go: async reason => {
			await send('POST', `monitoring/actors/${encodeURIComponent(id)}/${kind}${there}`, reason ? { reason } : {})
			return id
		},
	})
	const setting = 'monitoring-service.monitoring.actors.allow_operations'
	const refused = allowed === false ? tr(`Not allowed: ${setting}, or your role`, `未允许：${setting}，或您的角色`) : undefined
	useEffect(() => row && !refused ? bind('r', () => act('restart')) : undefined, [id, !row, refused])
	return (
		<>
			<button class="btn" disabled={!row || !!refused} title={refused ?? tr('Restart… (r)', '重启…（r）')} onClick={() => act('restart')}><Icon name="rotate-cw" size={14} />{tr('Restart…', '重启…')}</button>
			<button class="btn risk" disabled={!row || !!refused} title={refused ?? tr('Kill…: it fails as by a bug of its own', '使其如自身缺陷般失败…')} onClick={() => act('kill')}>{tr('Kill…', '演练…')}</button>
			<button class="btn risk" disabled={!row || !!refused} title={refused} onClick={() => act('stop')}>{tr('Stop…', '停止…')}</button>
		</>
	)
}

function Budget({ node, supervisor, chain }: { node: Node; supervisor: Row | undefined; chain: Row[] }) {
	const own = node.budget
	const left = own?.left ?? supervisor?.left ?? 0
	const of = own?.restarts ?? supervisor?.budget ?? 0
	const whose = own ? node.name : supervisor?.name ?? ''
	const within = own?.within_seconds
	return (
		<section><h3>{tr(`Restart budget of ${whose}`, `${whose} 的重启额度`)}<span>{within ? tr(`${of} in ${span(within)}`, `${span(within)} 内 ${of} 次`) : ''}</span></h3>
			<div class="card pad row"><Pips left={left} of={of} /><span><b>{tr(`${left} left.`, `剩余 ${left} 次。`)}</b> {own?.next_at ? tr(`One comes back at ${clock(own.next_at)}.`, `${clock(own.next_at)} 恢复一次。`) : ''} {tr('Beyond it, the one above decides.', '用尽后由上级决定。')}</span></div>
			<div class="chain">{chain.map((r, i) => <>{i > 0 && <Icon name="chevron-right" size={12} cls="dim" />}<a class={'link' + (r.left !== undefined && r.budget && r.left <= 0 ? ' spent' : '')} href={href('actors', { sel: r.id })}>{r.name}{r.budget ? <Pips left={r.left ?? r.budget} of={r.budget} /> : ''}</a></>)}</div>
		</section>
	)
}

function Why({ failure, node }: { failure: Failure; node: Node }) {
	return (
		<section><h3>{tr('Why it failed', '失败原因')}<span title={exact(failure.time)}>{tr(`${span(Math.round(since(failure.time, now.value)))} ago`, `${span(Math.round(since(failure.time, now.value)))} 前`)}</span></h3>
			<div class="card"><div class="pad"><div class="row"><Icon name="octagon-x" cls="c-crit" /><b class="grow">{failure.reason}</b></div>
				<span class="small mid">{failure.message && <>{tr('while handling', '处理')} <code>{failure.message}</code> · </>}{tr(`${count(node.failures_total)} ${plural(node.failures_total, 'failure', 'failures')} in all`, `共失败 ${count(node.failures_total)} 次`)}</span></div>
				{failure.stack && <pre class="text" tabIndex={0}>{failure.stack}</pre>}</div>
		</section>
	)
}

function LivesTable({ events }: { events: ActorEvent[] }) {
	const lives = livesOf(events).reverse()
	return (
		<section><h3>{tr('Each life', '每次生命')}<span>{count(lives.length)}</span></h3>
			<table class="t"><thead><tr><th>{tr('Began', '开始')}</th><th class="num">{tr('Lasted', '持续')}</th><th>{tr('Ended by', '结束原因')}</th><th class="num">{tr('Blind', '中断')}</th></tr></thead>
				<tbody>{lives.slice(0, 12).map(l => <tr><td class="nums" title={exact(l.began)}>{now.value - l.began < 86_400_000 ? clock(l.began) : day(l.began)}</td><td class="num">{span(Math.round(((l.ended ?? now.value) - l.began) / 1000))}</td><td class="clip fluid">{l.ended ? l.by : <span class="c-ok">{tr('alive', '存活')}</span>}</td><td class="num">{l.blind === undefined ? absent : span(l.blind)}</td></tr>)}</tbody></table></section>
	)
}

function Waits({ node }: { node: Node }) {
	const buckets = node.mailbox.wait_buckets?.filter(b => b.count > 0) ?? []
	if (buckets.length === 0) return null
	const most = Math.max(...buckets.map(b => b.count))
	return (
		<section><h3>{tr('Mailbox wait', '邮箱等待')}<span>{tr('samples, 1 in 64', '抽样，1/64')}</span></h3>
			<div class="bars" role="img" aria-label={tr('Waits by length', '等待时长分布')}>{buckets.map(b => <div title={tr(`below ${span(b.below_seconds)}: ${count(b.count)}`, `小于 ${span(b.below_seconds)}：${count(b.count)}`)}><i class={b.below_seconds > 0.1 ? 'over' : ''} style={{ height: Math.max(2, (b.count / most) * 40) + 'px' }} /></div>)}</div>
			<div class="row label"><span>{span(buckets[0]!.below_seconds)}</span><span class="grow" /><span>{span(buckets.at(-1)!.below_seconds)}</span></div></section>
	)
}

