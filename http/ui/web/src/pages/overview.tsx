import type { ComponentChildren } from 'preact'
import { HeatStrip } from '../parts/heat'
import { Icon, type IconName } from '../parts/icon'
import { Bullet, Spark } from '../parts/marks'
import { Card, Empty, Shown } from '../parts/panel'
import { Mark, serviceLevel, Status } from '../parts/status'
import { Twin, TwinButton } from '../parts/twin'
import { absent, bytes, clock, count, cutPercent, exact, minute, rate, since, span, spanParts } from '../state/format'
import { entries, told, value } from '../state/live'
import { now, ranges, rangeWord } from '../state/moment'
import { only, useInstants, useRanges, type Series } from '../state/promql'
import { limits, queries } from '../state/queries'
import { ofTopic, useResource, type Resource } from '../state/resource'
import { href } from '../state/route'
import { plural, tr } from '../state/words'
import { eventLine, type ActorEvent } from './actors/event_line'
import { lagCell, LagLegend } from './lag'
import type { Quality } from './streams/quality'

interface LiveAlert { rule_id: string; rule_name: string; severity: string; description: string; start_time: string; value: number }
interface Service { status: string; degraded: boolean; since: string; instances: { url: string }[]; details?: { uptime_seconds?: number; checks?: Record<string, { status: string; error?: string; result?: unknown }> } }
interface Archiving { lag_seconds: number; after_seconds: number; interval_seconds: number; operations: { operation_id: string; job: string; state: string; finished?: string; rows: number; error?: string }[] }
interface System { cpu: { cores: number; usage_percent: number; load_1m: number }; memory: { total_bytes: number; available_bytes: number; usage_percent: number }; disks: { mountpoint: string; free_bytes: number; usage_percent: number }[]; data_mountpoint: string }

const day = 86400

export function Overview({ banner }: { banner: ComponentChildren }) {
	const seconds = ranges[rangeWord('1h')]!
	const n = useInstants(queries('frames', 'records', 'records_today', 'exchange_lag_p99', 'exchange_lag_p50', 'publish_p99', 'publish_p50', 'store_p99', 'store_p50', 'acknowledge_p99', 'batches', 'rows_written',
		'journal_bytes', 'journal_limit', 'parts', 'hot_bytes', 'reads', 'reads_p99', 'live_clients', 'sessions', 'exchange_lag_by_market', 'broker_messages', 'series', 'scheduler_runs', 'gateway_requests', 'http_p99_by_service', 'network_in'), 5000)
	const past = useRanges(queries('records', 'exchange_lag_p99', 'store_p99', 'broker_messages', 'series', 'rows_written', 'scheduler_runs', 'gateway_requests', 'cpu', 'memory', 'disk', 'network_in', 'exchange_lag_by_market', 'records_by_market'), seconds, seconds / 60, 15_000)
	const quality = useResource<Quality>('collector/quality?channels=false', 5000)
	return (
		<main id="main" tabIndex={-1}>
			{banner}
			<Verdict quality={quality} />
			<Tiles n={n} past={past} quality={quality} />
			<Way n={n} />
			<Services n={n} past={past} />
			<div class="grid2">
				<div class="stack"><LagByMarket past={past} /><Machine n={n} past={past} /></div>
				<div class="stack"><Alerts /><Happened /></div>
			</div>
		</main>
	)
}

type Of = Resource<Record<string, Series[]>>

/** Is all data live, complete, stored? In one sentence, with the next act beside it. */
function Verdict({ quality }: { quality: Resource<Quality> }) {
	const alerts = [...entries('alerts').values()] as LiveAlert[]
	const services = [...entries('services')] as [string, Service][]
	const streams = quality.data?.streams
	const critical = alerts.filter(a => a.severity === 'critical')
	const down = services.filter(([, s]) => s.status !== 'healthy')
	const silent = streams?.filter(s => !s.live) ?? []
	if (!streams && services.length === 0 && !quality.error) return null
	if (down.length > 0) {
		return <Says level="crit" title={tr(`${down.length} of ${services.length} services ${plural(down.length, 'is', 'are')} not well`, `${services.length} 个服务中有 ${down.length} 个异常`)} text={down.map(([name, s]) => `${name}: ${s.status}`).join(' · ')}><a class="btn main" href={href('logs', { service: down[0]![0] })}>{tr('Open logs', '查看日志')}</a></Says>
	}
	const begun = silent.filter(s => s.from !== null)
	if (streams && silent.length > 0 && begun.length === 0) {
		return <Says level="warn" title={tr(`${silent.length} of ${count(streams.length)} streams ${plural(silent.length, 'has', 'have')} not begun yet`, `${count(streams.length)} 条流中有 ${silent.length} 条尚未开始`)} text={silent.slice(0, 3).map(x => `${x.exchange} · ${x.market} · ${x.symbol}`).join(', ')}><a class="btn" href={href('streams')}>{tr('Open streams', '查看数据流')}</a></Says>
	}
	if (streams && begun.length > 0) {
		const s = begun[0]!
		return <Says level="crit" title={tr(`${begun.length} of ${count(streams.length)} streams ${plural(begun.length, 'is', 'are')} losing data`, `${count(streams.length)} 条流中有 ${begun.length} 条正在丢失数据`)} text={begun.slice(0, 3).map(x => `${x.exchange} · ${x.market} · ${x.symbol}`).join(', ')}><a class="btn main" href={href('streams', { sel: `${s.exchange}/${s.market}/${s.symbol}` })}>{tr('Open stream', '打开该流')}</a></Says>
	}
	if (critical.length > 0) return <Says level="crit" title={critical[0]!.rule_name || critical[0]!.rule_id} text={tr(`${critical.length} critical ${plural(critical.length, 'alert fires', 'alerts fire')}`, `${critical.length} 条严重告警触发中`)}><a class="btn main" href={href('alerts')}>{tr('Open alerts', '查看告警')}</a></Says>
	if (alerts.length > 0) return <Says level="warn" title={streams ? tr('All streams are live; something needs a look', '全部数据流实时；有事项需要关注') : tr('Something needs a look', '有事项需要关注')} text={alerts.slice(0, 3).map(a => a.rule_name || a.rule_id).join(' · ')}><a class="btn" href={href('alerts')}>{tr('Open alerts', '查看告警')}</a></Says>
	if (!streams) return quality.error ? <Says level="warn" title={tr('It is not known whether the streams are live', '数据流是否实时尚不可知')} text={quality.error}><button class="btn" onClick={quality.retry}>{tr('Try now', '立即重试')}</button></Says> : null
	const open = streams.reduce((a, x) => a + (x.sum?.open_gaps ?? 0), 0)
	return (
		<div class="verdict quiet"><Icon name="circle-check" cls="c-ok" /><div class="says"><b>{tr(`All ${count(streams.length)} streams are live`, `全部 ${count(streams.length)} 条数据流实时`)}</b>
			<span class="mid">{open ? tr(`${open} ${plural(open, 'gap is', 'gaps are')} being filled.`, `正在回补 ${open} 处缺口。`) : tr('Complete and stored; nothing needs you.', '完整且已入库，无需处理。')}</span></div></div>
	)
}

function Says({ level, title, text, children }: { level: 'crit' | 'warn'; title: string; text: string; children: ComponentChildren }) {
	return <div class={'verdict ' + level}><Icon name={level === 'crit' ? 'octagon-x' : 'triangle-alert'} size={22} cls={'c-' + level} /><div class="says"><b>{title}</b><span class="mid">{text}</span></div>{children}</div>
}

function Tile({ title, aside, big, unit, points, foot }: { title: string; aside?: string; big: string; unit?: string; points?: (number | undefined)[]; foot: ComponentChildren }) {
	return (
		<section class="card tile" aria-label={title}>
			<div class="head"><span class="clip">{title}</span><span>{aside}</span></div>
			<div class="mid-row"><div class="big value">{big}{unit && <span class="unit">{unit}</span>}</div>{points && <Spark points={points} width={110} height={28} />}</div>
			<div class="foot clip">{foot}</div>
		</section>
	)
}

const line = (s: Series[] | undefined) => s?.[0]?.points.map(p => p[1])

/** What p99 steps add up to: never less than the p99 of the whole way. */
function sum(...parts: (number | undefined)[]): number | undefined {
	return parts.some(p => p === undefined) ? undefined : parts.reduce<number>((a, b) => a + b!, 0)
}

function Tiles({ n, past, quality }: { n: Of; past: Of; quality: Resource<Quality> }) {
	const d = n.data ?? {}
	const p99 = sum(only(d.exchange_lag_p99), only(d.publish_p99), only(d.store_p99))
	const p50 = sum(only(d.exchange_lag_p50), only(d.publish_p50), only(d.store_p50))
	const [big, unit] = spanParts(p99)
	const worst = [...(d.exchange_lag_by_market ?? [])].sort((a, b) => (b.points[0]?.[1] || 0) - (a.points[0]?.[1] || 0))[0]
	const known = quality.data !== undefined
	const streams = quality.data?.streams ?? []
	const covered = streams.filter(s => s.coverage_percent !== null)
	const complete = covered.length ? covered.reduce((a, s) => a + s.coverage_percent!, 0) / covered.length : undefined
	const gaps = streams.reduce((a, s) => a + (s.sum?.gaps ?? 0), 0)
	const open = streams.reduce((a, s) => a + (s.sum?.open_gaps ?? 0), 0)
	const below = covered.filter(s => s.coverage_percent! < 99.95).length
	const [ackBig, ackUnit] = spanParts(only(d.store_p99))
	const behind = value<{ behind_seconds: number }>('storage', 'shards/0')?.behind_seconds
	const freshPast = past.data?.exchange_lag_p99?.[0]?.points.map(([t, v]) => v + (past.data?.store_p99?.[0]?.points.find(p => p[0] === t)?.[1] ?? 0))
	return (
		<div class="tiles">
			<Tile title={tr('Complete today', '今日完整率')} aside={tr('target 99.95 %', '目标 99.95 %')} big={cutPercent(complete)} unit="%" foot={<>{below > 0 && <Icon name="triangle-alert" size={14} cls="c-warn" />} {known ? tr(`${below} below target · ${open} gaps open, ${gaps} in all`, `${below} 条低于目标 · 未补缺口 ${open}，共 ${gaps}`) : absent}</>} />
			<Tile title={tr('Fresh: exchange to stored, p99', '新鲜度：交易所到落库 p99')} aside={tr('at most', '上界')} big={big} unit={unit} points={freshPast} foot={tr(`p50 ${span(p50)} · slowest ${worst ? marketOf(worst) : absent} ${span(worst?.points[0]?.[1])}`, `p50 ${span(p50)} · 最慢 ${worst ? marketOf(worst) : absent} ${span(worst?.points[0]?.[1])}`)} />
			<Tile title={tr('Records in', '入站记录')} aside={known ? tr(`${count(streams.length)} streams`, `${count(streams.length)} 条流`) : ''} big={count(only(d.records))} unit="/s" points={line(past.data?.records)} foot={tr(`${count(only(d.records_today))} in the last hour`, `最近一小时 ${count(only(d.records_today))}`)} />
			<Tile title={tr('Acknowledged, not yet queryable', '已确认，尚不可查')} aside={tr(`p99 · limit ${span(limits.visible)}`, `p99 · 上限 ${span(limits.visible)}`)} big={ackBig} unit={ackUnit} points={line(past.data?.store_p99)} foot={tr(`journal ${bytes(only(d.journal_bytes))} of ${bytes(only(d.journal_limit))} · reader ${span(behind)} behind`, `预写日志 ${bytes(only(d.journal_bytes))} / ${bytes(only(d.journal_limit))} · 读取落后 ${span(behind)}`)} />
		</div>
	)
}

function Way({ n }: { n: Of }) {
	const archived = value<Archiving>('storage', 'archiving')
	return (
		<Card title={tr('The way of a tick', '一笔行情的路径')} hint={tr('rate and p99 lag of each step; the tick marks its limit', '每一步的速率与 p99 延迟；刻线为上限')} end={<a href={href('streams')}>{tr('Streams', '数据流')}</a>}>
			<Shown of={n} what={tr('Metrics', '指标')}>{d => {
				const worst = Math.max(...(d.exchange_lag_by_market ?? []).map(s => s.points[0]?.[1] ?? NaN).filter(Number.isFinite))
				const stages: [IconName, string, string, string, string, number | undefined, number, string][] = [
					['activity', tr('Exchanges', '交易所'), rate(only(d.frames)), tr('frames/s', '帧/秒'), tr('worst market', '最慢市场'), Number.isFinite(worst) ? worst : undefined, limits.exchange, tr(`${count(only(d.sessions))} sessions`, `${count(only(d.sessions))} 个会话`)],
					['list-tree', tr('Streams', '数据流'), rate(only(d.records)), tr('rec/s', '条/秒'), tr('publish', '发布'), only(d.publish_p99), limits.publish, tr('receive to publish', '接收到发布')],
					['layers', tr('Journal', '预写日志'), rate(only(d.batches)), tr('batches/s', '批/秒'), tr('acknowledge', '确认'), only(d.acknowledge_p99), limits.acknowledge, tr(`${bytes(only(d.journal_bytes))} of ${bytes(only(d.journal_limit))}`, `${bytes(only(d.journal_bytes))} / ${bytes(only(d.journal_limit))}`)],
					['flame', tr('Hot store', '热存储'), rate(only(d.rows_written)), tr('rows/s', '行/秒'), tr('visible', '可见'), only(d.store_p99), limits.visible, tr(`${count(only(d.parts))} parts · ${bytes(only(d.hot_bytes))}`, `${count(only(d.parts))} 分段 · ${bytes(only(d.hot_bytes))}`)],
					['snowflake', tr('Cold store', '冷存储'), archived ? minute(Date.now() - archived.lag_seconds * 1000) : absent, 'UTC', tr('behind the newest', '落后最新'), archived?.lag_seconds, archived ? archived.after_seconds + archived.interval_seconds : day, archived ? tr(`archived after ${span(archived.after_seconds)}`, `${span(archived.after_seconds)} 后归档`) : ''],
					['search', tr('Queries', '查询'), rate(only(d.reads)), '/s', tr('answer', '应答'), only(d.reads_p99), limits.answer, tr(`${count(only(d.live_clients))} live subscribers`, `${count(only(d.live_clients))} 个实时订阅`)],
				]
				return <div class="stages">{stages.map(([icon, word, big, unit, what, lag, limit, foot]) => {
					const over = lag !== undefined && lag > limit
					return (
						<div class="stage"><div class="row name"><Icon name={over ? 'triangle-alert' : icon} cls={over ? 'c-warn' : 'dim'} /><span class="clip">{word}</span></div>
							<div class="big value">{big}<span class="unit">{unit}</span></div>
							<div class="row small lagged"><span class="grow clip mid">{what}</span><span class="nums value">{span(lag)}</span></div>
							<Bullet value={lag} limit={limit} label={tr(`${what} ${span(lag)}, limit ${span(limit)}`, `${what} ${span(lag)}，上限 ${span(limit)}`)} />
							<div class="small mid clip foot">{foot}</div></div>
					)
				})}</div>
			}}</Shown>
		</Card>
	)
}

function Services({ n, past }: { n: Of; past: Of }) {
	const d = n.data ?? {}, p = past.data ?? {}
	const http = Object.fromEntries((d.http_p99_by_service ?? []).map(s => [s.labels.service, s.points[0]?.[1]]))
	const all: [string, string, number | undefined, string, Series[] | undefined, string][] = [
		['message-broker-service', tr('Broker', '消息代理'), only(d.broker_messages), tr('msg/s', '条/秒'), p.broker_messages, href('broker')],
		['monitoring-service', tr('Monitoring', '监控'), only(d.series), tr('series', '序列'), p.series, href('explore')],
		['data-storage-service', tr('Storage', '存储'), only(d.rows_written), tr('rows/s', '行/秒'), p.rows_written, href('storage')],
		['scheduler-service', tr('Scheduler', '调度'), only(d.scheduler_runs), tr('runs/h', '次/时'), p.scheduler_runs, href('scheduler')],
		['market-data-collector', tr('Collector', '采集'), only(d.records), tr('rec/s', '条/秒'), p.records, href('streams')],
		['api-gateway-service', tr('Gateway', '网关'), only(d.gateway_requests), tr('req/s', '请求/秒'), p.gateway_requests, href('logs', { service: 'api-gateway-service' })],
	]
	return (
		<section class="card stages services" aria-label={tr('Services', '服务')}>{all.map(([name, word, v, unit, points, to]) => {
			const s = value<Service>('services', name)
			const [level, says] = s ? serviceLevel(s.status, s.degraded) : serviceLevel('', false)
			const up = s?.details?.uptime_seconds
			const port = s?.instances[0]?.url.split(':').at(-1)
			return (
				<div class="stage"><div class="row name"><a class="grow clip plain-link" href={to}>{word}</a><Status level={level} word={says} /></div>
					<div class="row"><div class="big small-big value grow">{rate(v)}<span class="unit">{unit}</span></div><Spark points={line(points) ?? []} width={52} height={20} /></div>
					<div class="row small mid"><span class="grow clip" title={s && exact(s.since)}>{port ? ':' + port : absent} · {span(up === undefined ? undefined : Math.floor(up))}</span><span class="nums">{http[name] === undefined ? '' : 'p99 ' + span(http[name])}</span></div></div>
			)
		})}</section>
	)
}

/** Lag of each market over the range, a cell a minute or so: the worst first. */
function LagByMarket({ past }: { past: Of }) {
	const word = rangeWord('1h')
	const step = ranges[word]! / 60
	return (
		<Card title={tr('Lag by market', '各市场延迟')} hint={tr('exchange to us, p99 of each cell', '交易所到本地，每格 p99')} end={<><TwinButton /><a href={href('streams')}>{tr('Open grid', '打开网格')}</a></>}>
			<Shown of={past} what={tr('Metrics', '指标')}>{d => {
				const rows = [...(d.exchange_lag_by_market ?? [])].filter(s => s.labels.market).sort((a, b) => marketOf(a).localeCompare(marketOf(b)))
				if (rows.length === 0) return <Empty title={tr('No exchange has sent anything yet', '尚无交易所数据')} />
				const end = Math.floor(now.value / 1000 / step) * step
				const times = Array.from({ length: 60 }, (_, i) => end - (59 - i) * step)
				const rates = Object.fromEntries((d.records_by_market ?? []).map(s => [marketOf(s), s.points.at(-1)?.[1]]))
				return (
					<Twin label={tr('Lag by market', '各市场延迟')} head={[tr('Market', '市场'), ...[50, 40, 30, 20, 10, 0].map(i => '#' + minute((end - i * step) * 1000)), '#' + tr('rec/s', '条/秒')]}
						rows={() => rows.map(s => { const at = new Map(s.points); return [marketOf(s), ...[50, 40, 30, 20, 10, 0].map(i => span(at.get(end - i * step))), count(rates[marketOf(s)])] })}>
					<div class="pad lags">
						<div class="lag head label"><span>{tr('Market', '市场')}</span><span class="axis">{[0, 10, 20, 30, 40, 50].map(i => <span>{minute(times[i]! * 1000)}</span>)}</span><span class="num">p99</span><span class="num">{tr('rec/s', '条/秒')}</span></div>
						{rows.slice(0, 26).map(s => {
							const at = new Map(s.points)
							const last = s.points.at(-1)?.[1]
							const over = last !== undefined && last > limits.exchange
							return (
								<div class="lag"><a class="clip plain-link" href={href('streams', { market: `${s.labels.exchange} ${s.labels.market}` })}>{s.labels.exchange} <span class="dim">{s.labels.market}</span></a>
									<HeatStrip label={tr(`Lag of ${marketOf(s)}; arrow keys tell each time`, `${marketOf(s)} 延迟；方向键逐格查看`)} cells={times.map(t => ({ at: t * 1000, tone: lagCell(at.get(t)), says: at.has(t) && !Number.isNaN(at.get(t)) ? span(at.get(t)) : tr('no data', '无数据') }))} />
									<span class={'num value' + (over ? ' c-warn' : '')}>{over && <Icon name="triangle-alert" size={12} />} {span(last)}</span><span class="num dim">{count(rates[marketOf(s)])}</span></div>
							)
						})}
						<LagLegend />
					</div>
					</Twin>
				)
			}}</Shown>
		</Card>
	)
}

const marketOf = (s: Series) => `${s.labels.exchange} ${s.labels.market}`

function Machine({ n, past }: { n: Of; past: Of }) {
	const cpu = value<System['cpu']>('system', 'cpu'), memory = value<System['memory']>('system', 'memory')
	const disks = value<System['disks']>('system', 'disks'), mount = value<string>('system', 'data_mountpoint')
	const disk = disks?.find(d => d.mountpoint === mount) ?? disks?.[0]
	const p = past.data ?? {}
	const cells: [string, string, string, string, number | undefined, number, Series[] | undefined][] = [
		['CPU', cpu ? Math.round(cpu.usage_percent).toString() : absent, '%', cpu ? tr(`${cpu.cores} cores`, `${cpu.cores} 核`) : '', cpu?.usage_percent, 90, p.cpu],
		[tr('Memory', '内存'), memory ? Math.round(memory.usage_percent).toString() : absent, '%', memory ? `${bytes(memory.total_bytes - memory.available_bytes)} / ${bytes(memory.total_bytes)}` : '', memory?.usage_percent, 95, p.memory],
		[tr('Disk', '磁盘'), disk ? Math.round(disk.usage_percent).toString() : absent, '%', disk ? tr(`${bytes(disk.free_bytes)} free`, `剩余 ${bytes(disk.free_bytes)}`) : '', disk?.usage_percent, 90, p.disk],
		[tr('Network in', '网络入'), bytes(only(n.data?.network_in)), '/s', '', undefined, 1, p.network_in],
	]
	return <section class="card machine" aria-label={tr('This machine', '本机')}>{cells.map(([word, big, unit, aside, v, limit, points]) => (
		<div class="stage"><div class="row label"><span class="grow">{word}</span><span>{aside}</span></div><div class="row"><div class="big small-big value grow">{big}<span class="unit">{unit}</span></div><Spark points={line(points) ?? []} width={64} height={20} /></div>{v !== undefined && <Bullet value={v} limit={limit} label={`${word} ${big} ${unit}`} />}</div>
	))}</section>
}

function Alerts() {
	const all = ([...entries('alerts').values()] as LiveAlert[]).sort((a, b) => a.severity.localeCompare(b.severity))
	return (
		<Card title={tr('Alerts', '告警')} hint={told('alerts') ? tr(`${all.length} firing`, `${all.length} 条触发`) : ''} end={<a href={href('alerts', { tab: 'rules' })}>{tr('All rules', '全部规则')}</a>}>
			<Shown of={ofTopic('alerts')} what={tr('Alerts', '告警')}>{() => all.length === 0 ? <Empty title={tr('Nothing fires', '无触发告警')}>{tr('Every rule is evaluated every 5 s.', '规则每 5 秒评估一次。')}</Empty>
				: <ul class="alerts">{all.slice(0, 6).map(a => (
					<li><div class="row"><Status level={a.severity === 'critical' ? 'crit' : 'warn'} word={a.severity === 'critical' ? tr('Critical', '严重') : tr('Warning', '警告')} /><b class="grow clip">{a.rule_id}</b><span class="dim nums small" title={exact(a.start_time)}>{span(Math.round(since(a.start_time, now.value)))}</span></div>
						<p class="small mid">{a.rule_name ? a.rule_name + '. ' : ''}{a.description}</p><div class="row small"><a href={href('alerts', { sel: a.rule_id })}>{tr('Open', '打开')}</a></div></li>
				))}</ul>}</Shown>
		</Card>
	)
}

function Happened() {
	const actors = ([...entries('events').values()] as ActorEvent[]).map(eventLine).filter(e => e !== null).map(e => ({ ...e, to: href('actors', { sel: e.id }) }))
	const runs = (value<Archiving>('storage', 'archiving')?.operations ?? []).filter(o => o.finished && (o.rows > 0 || o.state === 'failed')).map(o => ({
		name: o.job, time: o.finished!, level: o.state === 'failed' ? 'crit' as const : 'ok' as const, word: o.state === 'failed' ? tr('failed', '失败') : tr('is done', '已完成'), fact: o.error ? '' : tr(`${count(o.rows)} rows`, `${count(o.rows)} 行`), to: href('storage'),
	}))
	const list = [...actors, ...runs].sort((a, b) => Date.parse(b.time) - Date.parse(a.time)).slice(0, 8)
	return (
		<Card title={tr('What happened', '发生了什么')} hint={tr('failures, restarts, archiving', '失败、重启、归档')} end={<a href={href('actors')}>{tr('Actors', 'Actor 树')}</a>}>
			<Shown of={ofTopic('events')} what={tr('The tree', 'Actor 树')}>{() => list.length === 0 ? <Empty title={tr('Nothing failed', '没有失败')}>{tr('No actor failed or was restarted.', '没有 Actor 失败或被重启。')}</Empty>
				: <ul class="happened">{list.map(e => <li><span class="nums dim" title={exact(e.time)}>{clock(e.time)}</span><Mark level={e.level} word={e.word} /><a class="clip grow plain-link" href={e.to}><b>{e.name}</b> {e.word}</a><span class="num small mid">{e.fact}</span></li>)}</ul>}</Shown>
		</Card>
	)
}
