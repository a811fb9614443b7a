import { confirm } from '../../parts/confirm'
import { Icon } from '../../parts/icon'
import { HeatStrip } from '../../parts/heat'
import { Facts, Spark } from '../../parts/marks'
import { Card, Empty, Shown } from '../../parts/panel'
import { bookLevel, Status } from '../../parts/status'
import { send } from '../../state/api'
import { absent, clock, count, cutPercent, exact, minute, price, rate, span } from '../../state/format'
import { entries } from '../../state/live'
import { now } from '../../state/moment'
import { only, useInstants, useRanges } from '../../state/promql'
import { query } from '../../state/queries'
import { useResource } from '../../state/resource'
import { href, set } from '../../state/route'
import { tr } from '../../state/words'
import { StreamActs } from './acts'
import type { Bucket, OneQuality } from './quality'
import type { Row } from './row'

/** Whose fault is it: the way's parts, the gap ledger, the day, the book. */
export function Dock({ stream: s }: { stream: Row }) {
	const at = `${s.exchange}/${encodeURIComponent(s.symbol)}`
	const one = useResource<OneQuality>(`collector/quality/${at}?market=${s.market}&bucket=15m`, 10_000)
	const book = useResource<{ state: string; sequence: number; age: number; bid_levels: number; ask_levels: number }>(`collector/orderbook/${at}?market=${s.market}&depth=1`, 2000)
	const actor = [...entries('actors').keys()].find(id => id.endsWith(`/${s.exchange}-${s.market}/${s.symbol}`)) ?? `root/collector/${s.exchange}-${s.market}/${s.symbol}`
	const resync = () => confirm({
		title: tr(`Fetch a new snapshot of ${s.symbol}?`, `重新获取 ${s.symbol} 快照？`), says: tr('The book is not live until the snapshot has come, usually less than 2 s. Trades are not touched.', '快照到达前（通常不到 2 秒）订单簿不是实时状态。成交不受影响。'),
		act: tr('Resync the book', '重新同步订单簿'), go: async () => { await send('POST', `collector/orderbook/${at}/refresh?market=${s.market}`); book.retry(); return `${s.exchange} · ${s.market} · ${s.symbol}` },
	})
	return (
		<Card title={`${s.exchange} · ${s.market} · ${s.symbol}`} hint={<Status level={s.level} word={s.word} />} end={<>
			<StreamActs stream={s} open={s.open} /><button class="btn" onClick={resync}><Icon name="refresh-cw" size={14} />{tr('Resync book…', '重新同步…')}</button><a class="btn" href={href('actors', { sel: actor })}><Icon name="list-tree" size={14} />Actor</a>
			<a class="btn" href={href('market', { exchange: s.exchange, market: s.market, symbol: s.symbol })}><Icon name="chart-candlestick" size={14} />{tr('Market', '行情')}</a>
			<button class="btn plain" aria-label={tr('Close', '关闭')} onClick={() => set({ sel: undefined }, 'push')}><Icon name="x" /></button></>}>
			<div class="dock">
				<Way exchange={s.exchange} market={s.market} />
				<div class="pad grow"><h3 class="row sub"><b class="grow">{tr('Gap ledger today', '今日缺口账本')}</b></h3>
					<Shown of={one} what={tr('The ledger', '账本')}>{q => <>
						<Coverage buckets={q.buckets ?? []} />
						{q.gaps.length === 0 ? <Empty title={tr('No gaps today', '今日无缺口')}>{tr(`The ledger is empty since ${clock(q.from)}.`, `自 ${clock(q.from)} 起账本为空。`)}</Empty>
							: <div class="scroll" style={{ maxHeight: '220px' }} tabIndex={0} role="region" aria-label={tr('Gap ledger', '缺口账本')}><table class="t"><thead><tr><th>{tr('From', '起')}</th><th class="num">{tr('Length', '时长')}</th><th>{tr('Channel', '通道')}</th><th>{tr('Cause', '原因')}</th><th class="num">{tr('Missing', '缺失')}</th><th>{tr('Outcome', '结果')}</th></tr></thead>
								<tbody>{q.gaps.slice(0, 100).map(g => <tr><td class="nums" title={exact(g.from_time)}>{clock(g.from_time, true)}</td><td class="num">{g.from_time && g.to_time ? span((new Date(g.to_time).getTime() - new Date(g.from_time).getTime()) / 1000) : absent}</td><td>{g.channel}</td><td>{g.cause.replaceAll('_', ' ')}</td><td class="num">{g.from_seq !== null && g.to_seq !== null ? count(g.to_seq - g.from_seq + 1) : absent}</td><td>{g.outcome === 'healed' ? <Status level="ok" word={tr(`Healed ${count(g.healed_records)}`, `已补 ${count(g.healed_records)}`)} /> : g.outcome === 'open' ? <Status level="warn" word={tr('Open', '未补')} /> : <Status level="off" word={tr('Marked', '已标记')} />}</td></tr>)}</tbody></table></div>}
						{q.source !== 'ledger' && <p class="small dim">{tr(`Reckoned from memory: ${q.source_reason ?? ''}`, `根据内存统计：${q.source_reason ?? ''}`)}</p>}
					</>}</Shown></div>
				<div class="pad"><h3 class="row sub"><b class="grow">{tr('Book and channels', '订单簿与通道')}</b></h3>
					<Shown of={book} what={tr('The book', '订单簿')}>{b => { const [level, word] = bookLevel(b.state); return <Facts rows={[[tr('Book', '订单簿'), <Status level={level} word={word} />], [tr('Levels', '档位'), `${b.bid_levels} / ${b.ask_levels}`], [tr('Sequence', '序号'), price(String(b.sequence))], [tr('Age', '年龄'), span(b.age)], [tr('Resyncs', '重同步'), count(s.resyncs)], [tr('Verified', '已验证'), cutPercent(s.verified_percent) + ' %']]} /> }}</Shown>
					<table class="t tight"><tbody>{one.data?.channels.map(c => <tr><td>{c.kind}</td><td class="dim">{c.proof}</td><td class="num">{count(c.records)}</td></tr>)}</tbody></table></div>
			</div>
		</Card>
	)
}

const steps = ['p50', 'p90', 'p99'] as const

function Way({ exchange, market }: { exchange: string; market: string }) {
	const asked: Record<string, string> = {}
	for (const p of steps) {
		asked['lag' + p] = query(`lag_of_market_${p}`, { exchange, market })
		asked['publish' + p] = query(`publish_of_market_${p}`, { exchange, market })
		asked['store' + p] = query(`store_${p}`)
	}
	asked.offset = query('clock_offset')
	asked.left = query('rate_limit_left')
	const n = useInstants(asked, 5000)
	const past = useRanges({ lag: query('lag_of_market_p99', { exchange, market }) }, 900, 15, 15_000)
	return (
		<div class="pad"><h3 class="row sub"><b class="grow">{tr('Where the time goes', '时间花在哪里')}</b><span class="dim small">{tr(`${exchange} ${market}, last 2 min`, `${exchange} ${market}，最近 2 分钟`)}</span></h3>
			<Shown of={n} what={tr('Metrics', '指标')}>{d => {
				const rows = steps.map(p => [p, only(d['lag' + p]), only(d['publish' + p]), only(d['store' + p])] as const)
				const most = Math.max(...rows.map(r => (r[1] ?? 0) + (r[2] ?? 0) + (r[3] ?? 0)), 1e-6)
				const points = past.data?.lag?.[0]?.points ?? []
				return <>
					{rows.map(([p, a, b, c]) => <div class="row split"><span class="dim">{p}</span><div class="grow stackbar" role="img" aria-label={tr(`${p}: exchange to us ${span(a)}, publish ${span(b)}, store ${span(c)}`, `${p}：到本地 ${span(a)}，发布 ${span(b)}，入库 ${span(c)}`)}>{[a, b, c].map((v, i) => <i class={'lag' + (i + 1)} style={{ width: ((v ?? 0) / most) * 100 + '%' }} />)}</div><span class="num">{a === undefined ? absent : span((a ?? 0) + (b ?? 0) + (c ?? 0))}</span></div>)}
					<div class="legend"><span><i class="lag1" />{tr('exchange to us', '交易所到本地')} {span(rows[2]![1])}</span><span><i class="lag2" />{tr('publish', '发布')} {span(rows[2]![2])}</span><span><i class="lag3" />{tr('store', '入库')} {span(rows[2]![3])}</span></div>
					<Facts rows={[[tr('Clock offset to exchange', '与交易所时钟偏差'), span(d.offset?.find(x => x.labels.exchange === exchange && x.labels.market === market)?.points[0]?.[1])], [tr('Rate limit left', '剩余限额'), rate((d.left?.find(x => x.labels.exchange === exchange && x.labels.market === market)?.points[0]?.[1] ?? NaN) * 100) + ' %']]} />
					{points.length > 1 && <div><Spark points={points.map(x => x[1])} width={260} height={44} /><div class="row label"><span>{minute(points[0]![0] * 1000)}</span><span class="grow" style={{ textAlign: 'center' }}>{tr('lag p99', '延迟 p99')}</span><span>{minute(points.at(-1)![0] * 1000)}</span></div></div>}
				</>
			}}</Shown></div>
	)
}

/** The day in quarters of an hour: live, with a gap, not observed, not yet. */
function Coverage({ buckets }: { buckets: Bucket[] }) {
	const today = new Date(now.value).toISOString().slice(0, 10)
	const mine = buckets.filter(b => b.start.startsWith(today))
	if (mine.length === 0) return null
	const cell = (b: Bucket) => b.coverage_percent === null ? 'hq' : b.coverage_percent >= 99.999 ? 'h2' : b.coverage_percent > 99 ? 'hw' : 'hc'
	const begin = Date.parse(today + 'T00:00:00Z')
	const by = new Map(mine.map(b => [Date.parse(b.start), b]))
	const cells = Array.from({ length: 96 }, (_, i) => { const at = begin + i * 900_000, b = by.get(at); return { at, tone: b ? cell(b) : at > now.value ? 'hf' : 'hq', says: b && b.coverage_percent !== null ? cutPercent(b.coverage_percent) + ' %' : at > now.value ? tr('not yet', '未到') : tr('not observed', '未观测') } })
	return <div><HeatStrip cls="day" cells={cells} label={tr('Coverage of today in quarters of an hour; arrow keys tell each', '今日覆盖率（每刻钟）；方向键逐格查看')} /><div class="row label ticks"><span>00</span><span>06</span><span>12</span><span>18</span><span>24 UTC</span></div></div>
}
