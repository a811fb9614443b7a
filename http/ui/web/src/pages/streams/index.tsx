import type { ComponentChildren } from 'preact'
import { useMemo } from 'preact/hooks'
import { Choice, Filter } from '../../parts/choice'
import { Icon } from '../../parts/icon'
import { Tabs } from '../../parts/marks'
import { Card, Empty, Shown } from '../../parts/panel'
import { Mark, Status, type Level } from '../../parts/status'
import { Table, type Column } from '../../parts/table'
import { absent, count, cutPercent, rate, span } from '../../state/format'
import { entries, version } from '../../state/live'
import { now } from '../../state/moment'
import { narrow } from '../../state/media'
import { language } from '../../state/prefs'
import { only, useInstants } from '../../state/promql'
import { queries } from '../../state/queries'
import { ofTopic } from '../../state/resource'
import { param, set } from '../../state/route'
import { tr } from '../../state/words'
import { Subscribe } from './acts'
import { DayStrip, useDay, type Day } from './day'
import { lagCell, LagLegend } from '../lag'
import { useColumns } from '../../parts/columns'
import { Dock } from './dock'
import { filter } from './filter'
import { Row, said, type Measured } from './row'

const order: Record<Level, number> = { crit: 0, stale: 1, warn: 2, work: 3, unknown: 4, off: 5, ok: 6 }

export function Streams({ banner }: { banner: ComponentChildren }) {
	const rates = useInstants(queries('records_by_stream', 'exchange_lag_by_market', 'publish_by_market_p99', 'store_p99'), 5000)
	const days = useDay()
	const all = useMemo(() => said(entries('streams')), [version('streams')])
	// The answer is some seconds old itself: ages are as of its newest record, unless nothing comes any more.
	const last = useMemo(() => all.reduce((a, r) => Math.max(a, r.newest), 0), [all])
	const asOf = now.value - last > 6000 ? Math.floor(now.value / 1000) * 1000 : last
	const measured = useMemo((): Measured => {
		const by = (name: 'records_by_stream' | 'exchange_lag_by_market' | 'publish_by_market_p99', more = false) => new Map((rates.data?.[name] ?? []).map(s => [s.labels.exchange + '/' + s.labels.market + (more ? '/' + s.labels.symbol : ''), s.points[0]?.[1]]))
		return { rates: by('records_by_stream', true), lags: by('exchange_lag_by_market'), publishes: by('publish_by_market_p99'), store: only(rates.data?.store_p99) }
	}, [rates.at])
	const rows = useMemo(() => all.map(r => new Row(r, asOf, measured)), [all, asOf, measured, language.value])
	const q = param('q'), market = param('market')
	const shown = useMemo(() => !market && !q ? rows : rows.filter(r => (!market || r.exchange + ' ' + r.market === market) && filter(q, r)), [rows, q, market])
	const [shownColumns, tools] = useColumns('streams', columns(), shown)
	const markets = useMemo(() => [...new Set(rows.map(r => r.exchange + ' ' + r.market))].sort(), [rows])
	const sel = param('sel')
	const asTable = param('view') === 'table' || narrow.value && param('view') !== 'grid'
	const chosen = rows.find(r => r.id === sel)
	const numbers = useMemo(() => rows.reduce<Partial<Record<Level, number>>>((n, r) => { n[r.level] = (n[r.level] ?? 0) + 1; return n }, {}), [rows])
	const number = (l: Level) => numbers[l] ?? 0
	const source = ofTopic('streams', rows.length > 0)
	return (
		<main id="main" tabIndex={-1}>
			{banner}
			<div class="filters">
				<Filter hint={tr('okx BTC* gaps>0 lag>500ms', 'okx BTC* gaps>0 lag>500ms')} width={260} />
				<Tabs label={tr('View', '视图')} value={asTable ? 'table' : 'grid'} of={[['grid', tr('Grid', '网格')], ['table', tr('Table', '表')]] as const} pick={v => set({ view: v }, 'push')} />
				<Choice name="market" label={tr('Market', '市场')} of={[['', tr('All', '全部')], ...markets.map(m => [m, m] as const)]} />
				<Choice name="cell" label={tr('Cell shows', '单元格')} of={[['', tr('Rate', '速率')], ['lag', tr('Lag p99', '延迟 p99')], ['age', tr('Age', '年龄')], ['gaps', tr('Gaps', '缺口')], ['resyncs', tr('Resyncs', '重同步')]]} />
				<span class="end nums"><span><Mark level="ok" word={tr('live', '实时')} /> <b>{number('ok')}</b> {tr('live', '实时')}</span>{number('work') > 0 && <span><Mark level="work" word={tr('syncing', '同步中')} /> <b>{number('work')}</b> {tr('syncing', '同步中')}</span>}{number('warn') > 0 && <span><Mark level="warn" word={tr('late', '延迟')} /> <b>{number('warn')}</b> {tr('late', '延迟')}</span>}{number('crit') > 0 && <span><Mark level="crit" word={tr('silent', '静默')} /> <b>{number('crit')}</b> {tr('silent', '静默')}</span>}</span>
			</div>
			<Card title={tr('Streams', '数据流')} hint={tr('worst first', '最差优先')} end={<><Subscribe markets={markets} />{tools}</>} undated>
				<Shown of={source} what={tr('The collector', '采集服务')}>{() => shown.length === 0 ? <Empty title={tr('No stream is like that', '没有匹配的数据流')}><button class="btn linkish" onClick={() => set({ q: undefined, market: undefined })}>{tr('Clear the filter', '清除过滤')}</button></Empty>
					: asTable ? <Table rows={shown} columns={shownColumns} id={r => r.id} label={tr('Streams', '数据流')} first="state" pick={r => set({ sel: r.id === sel ? undefined : r.id }, 'push')} selected={sel} height={560} />
					: <Grid rows={shown} sel={sel} day={days} />}</Shown>
			</Card>
			{chosen ? <Dock key={sel} stream={chosen} /> : sel && rows.length > 0 ? <Card title={sel}><Empty title={tr('This stream is not collected', '未采集此数据流')} /></Card> : null}
		</main>
	)
}

const columns = (): Column<Row>[] => [
	{ key: 'state', title: tr('State', '状态'), cell: r => <Status level={r.level} word={r.word} />, value: r => order[r.level] },
	{ key: 'stream', title: tr('Stream', '数据流'), fluid: true, cell: r => narrow.value ? <>{r.symbol} <span class="dim">{r.exchange} {r.market}</span></> : <>{r.exchange} <span class="dim">{r.market}</span> {r.symbol}</>, value: r => r.id },
	{ key: 'rate', title: tr('rec/s', '条/秒'), num: true, cell: r => rate(r.rate), value: r => r.rate },
	{ key: 'lag', title: tr('To us, p99', '到本地 p99'), num: true, far: true, cell: r => <span title={tr('of its market', '所属市场')}>{span(r.lag)}</span>, value: r => r.lag },
	{ key: 'publish', title: tr('Publish', '发布'), num: true, far: true, cell: r => span(r.publish), value: r => r.publish },
	{ key: 'store', title: tr('Store', '入库'), num: true, far: true, cell: r => span(r.store), value: r => r.store },
	{ key: 'age', title: tr('Age', '年龄'), num: true, far: true, cell: r => span(r.age), value: r => r.age },
	{ key: 'gaps', title: tr('Gaps', '缺口'), num: true, cell: r => <span class={r.open ? 'c-warn' : r.gaps_total ? '' : 'dim'}>{count(r.gaps_total)}</span>, value: r => r.gaps_total },
	{ key: 'resyncs', title: tr('Resyncs', '重同步'), num: true, far: true, cell: r => count(r.resyncs), value: r => r.resyncs },
	{ key: 'verified', title: tr('Verified %', '已验证 %'), num: true, far: true, cell: r => cutPercent(r.verified_percent), value: r => r.verified_percent },
	{ key: 'live', title: tr('Live %', '实时 %'), num: true, cell: r => <span class={r.coverage_percent !== null && r.coverage_percent < 99.95 ? 'c-crit' : ''}>{cutPercent(r.coverage_percent)}</span>, value: r => r.coverage_percent },
]

/** What a cell says, and how deep its colour is. */
function cellOf(r: Row, shows: string): [string, number] {
	switch (shows) {
		case 'lag': return [r.lag === undefined ? absent : span(r.lag), r.lag === undefined ? 0 : Number(/^h([0-3])$/.exec(lagCell(r.lag))?.[1] ?? 3)]
		case 'age': return [r.age === undefined ? absent : span(r.age < 1 ? Math.round(r.age * 10) / 10 || 0.1 : Math.round(r.age)), r.age === undefined ? 0 : r.age < 1 ? 1 : r.age < 5 ? 2 : 3]
		case 'gaps': return [count(r.gaps_total), r.gaps_total ? 2 : 0]
		case 'resyncs': return [count(r.resyncs), r.resyncs ? 2 : 0]
	}
	return [rate(r.rate), r.rate === undefined ? 0 : Math.min(3, Math.log10(1 + r.rate))]
}

const mostColumns = 10

/** What the grid shows of the streams: the symbols that most markets have, those first that are not well; the markets, the worst first. */
function gridOf(rows: Row[]) {
	const bySymbol = new Map<string, number>()
	for (const r of rows) bySymbol.set(r.symbol, (bySymbol.get(r.symbol) ?? 0) + 1)
	const bad = new Set(rows.filter(r => r.level !== 'ok').map(r => r.symbol))
	const symbols = [...bySymbol].sort((a, b) => Number(bad.has(b[0])) - Number(bad.has(a[0])) || b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, mostColumns).map(s => s[0])
	const markets = [...Map.groupBy(rows, r => r.exchange + '/' + r.market)].map(([id, list]) => ({
		id, list, by: new Map(list.map(r => [r.symbol, r])), level: list.reduce<Level>((w, r) => order[r.level] < order[w] ? r.level : w, 'ok'),
		live: list.reduce<number | null>((n, r) => r.coverage_percent === null ? n : Math.min(n ?? 100, r.coverage_percent), null),
		rate: list.reduce<number | undefined>((n, r) => r.rate === undefined ? n : (n ?? 0) + r.rate, undefined), open: list.reduce((n, r) => n + r.open, 0), gaps: list.reduce((n, r) => n + r.gaps_total, 0),
	})).sort((a, b) => order[a.level] - order[b.level] || (a.id < b.id ? -1 : 1))
	return { symbols, markets, hidden: bySymbol.size - symbols.length }
}

function Grid({ rows, sel, day }: { rows: Row[]; sel: string; day: Day }) {
	const shows = param('cell')
	const { symbols, markets, hidden } = useMemo(() => gridOf(rows), [rows])
	return (
		<div class="scroll" tabIndex={0} role="region" aria-label={tr('Streams by market and symbol', '按市场与品种的数据流')}>
			<table class="t cells-grid"><thead><tr><th>{tr('Market', '市场')}</th>{symbols.map(s => <th class="num">{s}</th>)}<th class="num">{tr('rec/s', '条/秒')}</th><th class="num">{tr('Gaps', '缺口')}</th><th class="far daycell"><span class="row label ticks"><span>00</span><span>06</span><span>12</span><span>18</span><span>24 UTC</span></span></th><th class="num">{tr('Live %', '实时 %')}</th></tr></thead>
				<tbody>{markets.map(m => {
					const { by, live } = m
					const [exchange, market] = m.id.split('/')
					return (
						<tr key={m.id}><td><span class="row"><Mark level={m.level} word={m.level} /><span>{exchange} <span class="dim">{market}</span></span></span></td>
							{symbols.map(s => {
								const r = by.get(s)
								if (!r) return <td class="num dim">·</td>
								const [text, depth] = cellOf(r, shows)
								const tone = r.level === 'crit' ? 'crit' : r.level === 'warn' ? 'warn' : r.level === 'work' ? 'work' : 'h' + Math.round(depth)
								return <td class="cell"><button class={'heatcell ' + tone} aria-pressed={r.id === sel} aria-label={`${r.exchange} ${r.market} ${r.symbol}: ${r.word}, ${text}`} onClick={() => set({ sel: r.id === sel ? undefined : r.id }, 'push')}>{r.level !== 'ok' && <Icon name={r.level === 'crit' ? 'octagon-x' : r.level === 'warn' ? 'triangle-alert' : 'refresh-cw'} size={12} />}<span class="nums">{text}</span></button></td>
							})}
							<td class="num">{rate(m.rate)}</td><td class="num" title={tr('open, of all', '未补 / 全部')}>{count(m.open)}<span class="dim"> / {count(m.gaps)}</span></td><td class="far daycell"><DayStrip day={day.get(m.id)} label={`${exchange} ${market}`} silent={m.level === 'crit'} /></td><td class={'num' + (live !== null && live < 99.95 ? ' c-crit' : '')}>{cutPercent(live)}</td></tr>
					)
				})}</tbody></table>
			<div class="legend pad">{shows === 'lag' && <LagLegend />}<span class="grow" /><span>{tr('Day:', '当日：')}</span><span><i class="h2" />{tr('live', '实时')}</span><span><i class="hb" />{tr('healed by backfill', '已回补')}</span><span><i class="hc" />{tr('gap', '缺口')}</span><span><i class="hs" />{tr('silent now', '当前静默')}</span><span><i class="hq" />{tr('not observed', '未观测')}</span><span><i class="hf" />{tr('not yet', '未到')}</span></div>
			{hidden > 0 && <p class="pad small dim">{tr(`${hidden} more symbols are in the table.`, `另有 ${hidden} 个品种，见表格视图。`)}</p>}
		</div>
	)
}
