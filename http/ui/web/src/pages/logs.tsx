import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { Choice, Filter } from '../parts/choice'
import { Drawer, Drawers } from '../parts/drawer'
import { Icon } from '../parts/icon'
import { Twin, TwinButton } from '../parts/twin'
import { Facts, Tabs } from '../parts/marks'
import { Card, Empty } from '../parts/panel'
import { follow, get } from '../state/api'
import { clock, count, exact, minute, span } from '../state/format'
import { frozen } from '../state/live'
import { past, replayed } from '../state/moment'
import { useAsked } from '../state/resource'
import { href, param, set } from '../state/route'
import { tr } from '../state/words'
import { Traces } from './traces'

interface Entry { seq: number; time: string; level: string; node: string; service: string; message: string; actor?: string; logger?: string; request_id?: string; trace_id?: string; exchange?: string; symbol?: string; fields: Record<string, unknown> }

const most = 5000
const services = ['market-data-collector', 'data-storage-service', 'message-broker-service', 'scheduler-service', 'monitoring-service', 'api-gateway-service']
const around = 5_000
const names = ['service', 'level', 'actor', 'exchange', 'symbol', 'q', 'request_id', 'trace_id'] as const

export function Logs({ banner }: { banner: ComponentChildren }) {
	const view = param('view') === 'traces' ? 'traces' : 'lines'
	const tabs = <Tabs label={tr('View', '视图')} value={view} of={[['lines', tr('Lines', '日志')], ['traces', tr('Traces', '追踪')]] as const} pick={v => set({ view: v === 'lines' ? undefined : v, sel: undefined }, 'push')} />
	return view === 'traces' ? <Traces banner={banner} tabs={tabs} /> : <LogLines banner={banner} tabs={tabs} />
}

function LogLines({ banner, tabs }: { banner: ComponentChildren; tabs: ComponentChildren }) {
	const asked = new URLSearchParams()
	for (const n of names) if (param(n)) asked.set(n, param(n))
	const key = asked.toString()
	const at = past.value ? replayed.value : 0
	const [lines, setLines] = useState<Entry[]>([])
	const [fault, setFault] = useState('')
	const [ready, setReady] = useState(false)
	const [missed, setMissed] = useState(0)
	useEffect(() => {
		const life = new AbortController()
		let waiting: Entry[] = []
		let frame = 0
		setLines([])
		setReady(false)
		setMissed(0)
		const show = () => {
			frame = 0
			if (frozen.peek()) { frame = requestAnimationFrame(show); return }
			const more = waiting
			waiting = []
			setLines(l => [...l, ...more].slice(-most))
		}
		const run = async () => {
			try {
				const until = at ? '&to=' + encodeURIComponent(new Date(at + around).toISOString()) : ''
				const first = await get<{ logs: Entry[]; last_seq: number }>(`monitoring/logs?limit=1000&${key}${until}`, life.signal)
				setLines(first.logs)
				setReady(true)
				setFault('')
				if (at) return
				await follow(`monitoring/logs?follow=true&after=${first.last_seq}&${key}`, life.signal, h => {
					if (h.event === 'missed') { setMissed(n => n + (JSON.parse(h.data) as { missed: number }).missed); return }
					if (h.event !== 'log') return
					waiting.push(JSON.parse(h.data) as Entry)
					if (waiting.length > most) waiting.shift()
					frame ||= requestAnimationFrame(show)
				})
			} catch (e) {
				if (life.signal.aborted) return
				setFault(e instanceof Error ? e.message : String(e))
				timer = setTimeout(run, 2000)
			}
		}
		let timer = setTimeout(run, 150)
		return () => { life.abort(); clearTimeout(timer); cancelAnimationFrame(frame) }
	}, [key, at])
	const sel = Number(param('sel'))
	return (
		<>
			<main id="main" tabIndex={-1}>
				{banner}
				<div class="filters">{tabs}<Filter hint={tr('Words in the line', '日志内容')} width={260} />
					<Choice name="level" label={tr('Level', '级别')} of={[['', tr('All', '全部')], ['info', 'info+'], ['warn', 'warn+'], ['error', 'error+']]} />
					<Choice name="service" label={tr('Service', '服务')} of={[['', tr('All', '全部')], ...services.map(s => [s, s] as const)]} />
					{names.filter(n => !['q', 'level', 'service'].includes(n) && param(n)).map(n => <button class="btn" onClick={() => set({ [n]: undefined })}>{n}: <b>{param(n)}</b> ×</button>)}
					<span class="end nums">{fault && ready && <span class="c-warn">{tr(`not following: ${fault}`, `未跟踪：${fault}`)}</span>}{missed > 0 && <span class="c-warn">{tr(`${count(missed)} lines missed`, `遗漏 ${count(missed)} 行`)}</span>}<span>{tr(`${count(lines.length)} lines`, `${count(lines.length)} 行`)}</span></span></div>
				<Card title={tr('Lines by time and level', '按时间与级别')} end={<TwinButton />}><Histogram lines={lines} /></Card>
				<Card>{!ready ? (fault ? <div class="state" role="alert"><b>{tr('The log did not answer', '日志没有应答')}</b><span>{fault}</span></div> : <div class="bones" aria-busy="true"><i /><i /><i /></div>)
					: lines.length === 0 ? <Empty title={tr('Nothing was said', '没有日志')}>{tr('No line that is kept is like that; new ones come as they are written.', '没有符合条件的日志；新日志会实时出现。')}</Empty>
					: <Lines lines={lines} sel={sel} />}</Card>
			</main>
			<Drawers>{(id, close) => { const chosen = lines.find(l => String(l.seq) === id); return chosen && <LineDrawer line={chosen} all={lines} close={close} /> }}</Drawers>
		</>
	)
}

const tone = (level: string) => level === 'error' || level === 'fatal' || level.endsWith('panic') ? 'crit' : level === 'warn' ? 'warn' : 'off'

function Histogram({ lines }: { lines: Entry[] }) {
	const bars = useMemo(() => {
		if (lines.length === 0) return []
		const from = new Date(lines[0]!.time).getTime(), to = Math.max(from + 60_000, new Date(lines.at(-1)!.time).getTime())
		const out = Array.from({ length: 80 }, (_, i) => ({ at: from + (i / 80) * (to - from), off: 0, warn: 0, crit: 0 }))
		for (const l of lines) out[Math.min(79, Math.floor(((new Date(l.time).getTime() - from) / (to - from)) * 80))]![tone(l.level)]++
		return out
	}, [lines])
	const high = Math.max(1, ...bars.map(b => b.off + b.warn + b.crit))
	const h = (n: number) => (n ? Math.max(2, (n / high) * 44) : 0) + 'px'
	return <Twin label={tr('Lines by time and level', '按时间与级别')} head={[tr('From', '起'), '#' + tr('Errors', '错误'), '#' + tr('Warnings', '警告'), '#' + tr('Others', '其他')]} rows={() => bars.filter(b => b.off + b.warn + b.crit).map(b => [clock(b.at), count(b.crit), count(b.warn), count(b.off)])}><div class="pad"><div class="logbars" role="img" aria-label={tr('Lines by time', '按时间的日志数')}>{bars.map(b => <div title={`${clock(b.at)} ${b.off + b.warn + b.crit}`}><i class="crit" style={{ height: h(b.crit) }} /><i class="warn" style={{ height: h(b.warn) }} /><i style={{ height: h(b.off) }} /></div>)}</div><div class="row label ticks"><span>{bars[0] ? minute(bars[0].at) : ''}</span><span>{bars[0] ? minute(bars.at(-1)!.at) : ''}</span></div></div></Twin>
}

function Lines({ lines, sel }: { lines: Entry[]; sel: number }) {
	const box = useRef<HTMLDivElement>(null)
	const [top, setTop] = useState(0)
	const bottom = useRef(true)
	const tall = 24, height = 560
	useEffect(() => { if (bottom.current && box.current) box.current.scrollTop = box.current.scrollHeight }, [lines])
	const from = Math.max(0, Math.floor(top / tall) - 10), until = Math.min(lines.length, Math.ceil((top + height) / tall) + 10)
	return (
		<div class="scroll loglines" ref={box} style={{ height: height + 'px' }} tabIndex={0} role="region" aria-label={tr('Log', '日志')} onScroll={e => { const b = e.currentTarget; setTop(b.scrollTop); bottom.current = b.scrollHeight - b.scrollTop - b.clientHeight < 40 }}>
			<div style={{ height: from * tall + 'px' }} />
			{lines.slice(from, until).map(l => (
				<button key={l.seq} class={'logline' + (l.seq === sel ? ' on' : '')} onClick={() => set({ sel: l.seq === sel ? undefined : String(l.seq) }, 'push')}>
					<span class="nums dim" title={exact(l.time)}>{clock(l.time, true)}</span><span class={'c-' + tone(l.level)}>{l.level}</span><span class="dim clip far">{l.service || '–'}</span><span class="clip"><b>{l.message}</b> <span class="mono dim">{short(l.fields)}</span></span>
				</button>
			))}
			<div style={{ height: (lines.length - until) * tall + 'px' }} />
		</div>
	)
}

const short = (f: Record<string, unknown>) => Object.entries(f).map(([k, v]) => `${k}=${typeof v === 'object' ? JSON.stringify(v) : String(v)}`).join(' ').slice(0, 240)

function LineDrawer({ line: l, all, close }: { line: Entry; all: Entry[]; close: () => void }) {
	const links: [string, ComponentChildren][] = []
	if (l.actor) links.push(['actor', <a href={href('actors', { sel: l.actor })}>{l.actor}</a>])
	if (l.request_id) links.push(['request_id', <a href={href('logs', { request_id: l.request_id })}>{l.request_id}</a>])
	if (l.trace_id) links.push(['trace_id', <a href={href('logs', { trace_id: l.trace_id })}>{l.trace_id}</a>])
	if (l.exchange) links.push(['exchange', <a href={href('logs', { exchange: l.exchange })}>{l.exchange}</a>])
	if (l.symbol) links.push(['symbol', l.symbol])
	const t = new Date(l.time).getTime()
	const near = all.filter(o => Math.abs(new Date(o.time).getTime() - t) <= around)
	return (
		<Drawer id={String(l.seq)} path={l.service} title={l.message} close={close} acts={<a class="btn" href={'/logs?at=' + encodeURIComponent(new Date(t).toISOString())}><Icon name="history" size={14} />{tr('The page then', '当时的页面')}</a>}>
			<section><Facts rows={[[tr('Time', '时间'), exact(l.time)], [tr('Level', '级别'), l.level], [tr('Node', '节点'), l.node], ...links]} /></section>
			<section><h3>{tr('Fields', '字段')}</h3><Facts rows={Object.entries(l.fields).filter(([k]) => k !== 'stack').map(([k, v]) => [k, typeof v === 'object' ? JSON.stringify(v) : String(v)])} /></section>
			{typeof l.fields.stack === 'string' && <section><h3>{tr('Stack', '堆栈')}</h3><pre class="text" tabIndex={0}>{l.fields.stack}</pre></section>}
			{l.trace_id && <Waterfall id={l.trace_id} all={all} />}
			<section data-around={near.length}><h3>{tr('± 5 s', '± 5 秒')}<span>{tr(`${count(near.length)} lines`, `${count(near.length)} 行`)}</span></h3>
				<div class="card scroll near" tabIndex={0} role="region" aria-label={tr('Lines around it', '前后日志')}>{near.slice(0, 200).map(o => <button key={o.seq} class={'logline close' + (o.seq === l.seq ? ' on' : '')} onClick={() => set({ sel: String(o.seq) }, 'push')}><span class="nums dim">{clock(o.time, true)}</span><span class="clip"><b class={'c-' + tone(o.level)}>{o.message}</b> <span class="dim">{o.service}</span></span></button>)}</div></section>
		</Drawer>
	)
}

/** A request across services and nodes: what each said of it, by time. */
function Waterfall({ id, all }: { id: string; all: Entry[] }) {
	const lines = useAsked<{ logs: Entry[] }>('waterfall ' + id, s => get(`monitoring/logs?limit=200&level=debug&trace_id=${encodeURIComponent(id)}`, s), 0)
	const mine = lines.data?.logs ?? all.filter(l => l.trace_id === id)
	const took = (l: Entry) => typeof l.fields.dur_ms === 'number' ? l.fields.dur_ms : 0
	const end = (l: Entry) => new Date(l.time).getTime()
	if (mine.length === 0) return null
	const begin = Math.min(...mine.map(l => end(l) - took(l)))
	const whole = Math.max(1, ...mine.map(l => end(l) - begin))
	return (
		<section data-waterfall={mine.length}><h3>{tr('The request', '该请求')}<span>{tr(`${count(mine.length)} lines, ${span(whole / 1000)}`, `${count(mine.length)} 行，${span(whole / 1000)}`)}</span></h3>
			<ol class="spans">{mine.slice(0, 60).map(l => <li><span class="row"><b class="clip">{l.service || l.node}</b><span class="dim clip">{l.node}</span><span class="nums">{took(l) ? span(took(l) / 1000) : clock(l.time, true)}</span></span><span class="mono dim clip" title={l.message}>{l.message} {String(l.fields.route ?? '')}</span><span class="reach"><i class={tone(l.level) === 'crit' ? 'crit' : ''} style={{ marginLeft: ((end(l) - took(l) - begin) / whole) * 100 + '%', width: Math.max(0.8, (took(l) / whole) * 100) + '%' }} /></span></li>)}</ol>
			<a class="small" href={href('logs', { view: 'traces', sel: id })}>{tr('Its trace, if it was slow or failed', '其追踪（若缓慢或失败）')}</a></section>
	)
}
