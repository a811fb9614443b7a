import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { Icon } from '../../parts/icon'
import { Tabs } from '../../parts/marks'
import { Card, Empty, Shown } from '../../parts/panel'
import { Table } from '../../parts/table'
import { absent, clock, count } from '../../state/format'
import { entries } from '../../state/live'
import { theme } from '../../state/prefs'
import { range, type Series } from '../../state/promql'
import { now, past } from '../../state/moment'
import { useAsked, useResource } from '../../state/resource'
import { param, set } from '../../state/route'
import { plural, tr } from '../../state/words'
import type { ActorEvent } from '../actors/event_line'
import type { Quality } from '../streams/quality'
import { twin } from '../../state/twin'
import { AlertFrom } from './alert'
import type { Plot } from './plot'

const ranges: Record<string, [number, number]> = { '15m': [900, 5], '1h': [3600, 15], '6h': [21_600, 60], '24h': [86_400, 300] }
const most = 6

const first = 'sum by (exchange) (rate(mp_stream_published_total[1m]))'

export function Explore({ banner }: { banner: ComponentChildren }) {
	const names = useResource<{ data: string[] }>('monitoring/label/__name__/values', 60_000)
	const shown = Array.from({ length: most }, (_, i) => param(i ? 'expr' + (i + 1) : 'expr')).filter((e, i) => i === 0 || e !== '')
	const span = ranges[param('range')] ? param('range') : '1h'
	const put = (list: string[]) => set(Object.fromEntries(Array.from({ length: most }, (_, i) => [i ? 'expr' + (i + 1) : 'expr', list[i]])), 'push')
	return (
		<main id="main" tabIndex={-1}>
			{banner}
			<div class="filters"><Tabs label={tr('Range', '时间范围')} value={span} of={Object.keys(ranges).map(r => [r, r] as const)} pick={v => set({ range: v === '1h' ? undefined : v })} />
				<Tabs label={tr('View', '视图')} value={param('view') === 'table' || twin() ? 'table' : 'graph'} of={[['graph', tr('Graph', '图')], ['table', tr('Table', '表')]] as const} pick={v => set({ view: v === 'graph' ? undefined : v, twin: undefined })} />
				<span class="end dim">{tr(`${count(names.data?.data.length)} metrics`, `${count(names.data?.data.length)} 个指标`)}</span></div>
			{shown.map((e, i) => <One key={i} expr={e || first} span={span} names={names.data?.data ?? []} change={v => put(shown.map((x, j) => (j === i ? v : x || first)))} drop={shown.length > 1 ? () => put(shown.filter((_, j) => j !== i)) : undefined} />)}
			{shown.length < most && <div><button class="btn" onClick={() => put([...shown.map(x => x || first), 'up'])}><Icon name="plus" size={14} />{tr('Another query', '再加一个查询')}</button></div>}
		</main>
	)
}

/** When gaps of any stream began today, in Unix seconds. */
function useGaps(): number[] {
	const q = useResource<Quality>('collector/quality?channels=false&day=' + new Date(now.value).toISOString().slice(0, 10), 30_000)
	return useMemo(() => (q.data?.streams ?? []).flatMap(s => s.gaps).filter(g => g.from_time).map(g => Date.parse(g.from_time!) / 1000), [q.at])
}

const label = (s: Series) => {
	const l = Object.entries(s.labels).filter(([k]) => k !== '__name__').map(([k, v]) => `${k}="${v}"`).join(', ')
	return (s.labels.__name__ ?? '') + (l ? `{${l}}` : '') || '{}'
}

function One({ expr, span, names, change, drop }: { expr: string; span: string; names: string[]; change: (v: string) => void; drop?: () => void }) {
	const [text, setText] = useState(expr)
	useEffect(() => setText(expr), [expr])
	const [seconds, step] = ranges[span]!
	const until = Number(param('until')) || 0
	const found = useAsked(`${expr} ${span} ${until}`, s => range(expr, seconds, step, s, until), until ? 0 : 10_000)
	const box = useRef<HTMLDivElement>(null)
	const chart = useRef<Plot | null>(null)
	const marks = useMemo(() => ([...entries('events').values()] as ActorEvent[]).filter(e => e.event === 'restarted').map(e => new Date(e.time).getTime() / 1000), [found.at])
	const holes = useGaps()
	const [fault, setFault] = useState('')
	const table = param('view') === 'table' || twin()
	useEffect(() => {
		let mine = true
		const series = found.data
		const end = (until || (past.peek() ? now.peek() : found.at)) / 1000
		if (!series?.length || table) return
		import('./plot').then(m => {
			if (!mine || !box.current) return
			chart.current?.remove()
			chart.current = m.plot(box.current, end - seconds, end, series.slice(0, 24), series.map(label), marks, holes, (_, to) => set({ until: String(Math.round(to * 1000)) }))
		}, e => setFault(String(e)))
		return () => { mine = false }
	}, [found.at, table, theme.value])
	useEffect(() => {
		const resized = new ResizeObserver(() => { if (box.current) chart.current?.resize(box.current.clientWidth) })
		if (box.current) resized.observe(box.current)
		return () => { resized.disconnect(); chart.current?.remove(); chart.current = null }
	}, [])
	const word = /[a-zA-Z_:][\w:]*$/.exec(text)?.[0] ?? ''
	const list = 'metrics-' + useMemo(() => Math.random().toString(36).slice(2), [])
	const completions = word.length > 1 && !names.includes(word) ? names.filter(n => n.includes(word)).slice(0, 40) : []
	const [alerting, alert] = useState(false)
	return (
		<Card>
			<form class="pad row wrap" onSubmit={e => { e.preventDefault(); change(text) }}>
				<label class="field grow mono"><span class="sr">PromQL</span><Icon name="chart-line" size={14} cls="dim" /><input data-filter list={list} spellcheck={false} value={text} onInput={e => setText(e.currentTarget.value)} /></label>
				<datalist id={list}>{completions.map(n => <option value={text.slice(0, text.length - word.length) + n} />)}</datalist>
				<button class="btn main" type="submit">{tr('Ask', '查询')}</button><button class="btn" type="button" aria-expanded={alerting} onClick={() => alert(!alerting)}>{tr('Alert from this', '生成告警')}</button>
				{until > 0 && <button class="btn" type="button" onClick={() => set({ until: undefined })}>{tr(`until ${clock(until)}`, `截至 ${clock(until)}`)} ×</button>}
				{drop && <button class="btn plain" type="button" aria-label={tr('Remove this query', '移除此查询')} onClick={drop}><Icon name="x" size={14} /></button>}
			</form>
			{alerting && <AlertFrom expr={expr} />}
			<div ref={box} class="plot" hidden={table || !found.data?.length} role="img" aria-label={tr(`Graph of ${expr}`, `${expr} 的曲线`)} />
			<Shown of={found} what="PromQL">{series => series.length === 0 ? <Empty title={tr('No series', '没有序列')}>{tr('The expression is valid and matches nothing in this range.', '表达式有效，但此范围内没有匹配。')}</Empty> : (
				<>
					{fault && <p class="pad c-crit">{fault}</p>}
					<div class="pad small dim">{tr(`${count(series.length)} ${plural(series.length, 'series', 'series')}, every ${step} s`, `${count(series.length)} 个序列，步长 ${step} 秒`)}</div>
					<Table rows={series.slice(0, table ? 5000 : 24).map((s, i) => ({ s, i }))} id={r => label(r.s)} label={tr('Series', '序列')} sortName={'by'} height={table ? 600 : 200} columns={[
						{ key: 'series', title: tr('Series', '序列'), fluid: true, cell: r => <><i class="swatch" style={{ background: table ? 'none' : swatch(r.i) }} /><code title={label(r.s)}>{label(r.s)}</code></>, value: r => label(r.s) },
						{ key: 'last', title: tr('Last', '最新'), num: true, cell: r => number(r.s.points.at(-1)?.[1]), value: r => r.s.points.at(-1)?.[1] },
						{ key: 'min', title: tr('Lowest', '最低'), num: true, far: true, cell: r => number(low(r.s)), value: r => low(r.s) },
						{ key: 'max', title: tr('Highest', '最高'), num: true, far: true, cell: r => number(high(r.s)), value: r => high(r.s) },
					]} />
				</>
			)}</Shown>
		</Card>
	)
}

const swatches = ['--lag-1', '--lag-2', '--lag-3', '--heat-warn', '--up', '--down', '--accent', '--stale']
const swatch = (i: number) => `var(${swatches[i % swatches.length]})`
const finite = (s: Series) => s.points.map(p => p[1]).filter(Number.isFinite)
const low = (s: Series) => { const v = finite(s); return v.length ? v.reduce((a, b) => Math.min(a, b)) : undefined }
const high = (s: Series) => { const v = finite(s); return v.length ? v.reduce((a, b) => Math.max(a, b)) : undefined }
const number = (v: number | undefined) => v === undefined || !Number.isFinite(v) ? absent : Number(v.toPrecision(6)).toLocaleString('en-US', { maximumSignificantDigits: 6 })
