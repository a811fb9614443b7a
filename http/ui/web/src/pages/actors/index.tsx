import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { Choice, Filter } from '../../parts/choice'
import { Icon } from '../../parts/icon'
import { Pips, Spark, Tabs } from '../../parts/marks'
import { Card, Empty, Shown } from '../../parts/panel'
import { levelIcon, Mark, rank, type Level } from '../../parts/status'
import { Table, type Column } from '../../parts/table'
import { count, exact, percent, rate, since, span } from '../../state/format'
import { bind } from '../../state/keys'
import { entries, version } from '../../state/live'
import { now } from '../../state/moment'
import { density, language } from '../../state/prefs'
import { ofTopic, useResource, type Resource } from '../../state/resource'
import { param, set } from '../../state/route'
import { tr } from '../../state/words'
import { Drawers } from '../../parts/drawer'
import { useColumns } from '../../parts/columns'
import { ActorDrawer } from './drawer'
import { tellRecoveries } from './recovered'
import type { ActorEvent } from './event_line'
import { linesOf, type Elsewhere, type Nodes } from './elsewhere'
import { Lanes } from './lanes'
import { Forest, waitLimit, type Line, type Row } from './tree'

/** The rows of the node that is looked at. */
let forest = new Forest(), forestOf = ''

const states: [string, (l: Level) => boolean][] = [['bad', l => l === 'crit' || l === 'warn' || l === 'work'], ['crit', l => l === 'crit'], ['warn', l => l === 'warn'], ['work', l => l === 'work']]

/** The rows that a filter lets through; all of them, as they are, where there is none. */
function matching(all: Row[], q: string, branch: string, state: string): Row[] {
	const test = states.find(s => s[0] === state)?.[1]
	const words = q.toLowerCase().split(/\s+/).filter(Boolean)
	if (!branch && !test && words.length === 0) return all
	return all.filter(r => {
		if (branch && r.id !== 'root' && r.id !== branch && !r.id.startsWith(branch + '/')) return false
		if (test && !test(r.level)) return false
		if (words.length === 0) return true
		const text = (r.id + ' ' + r.kind + ' ' + r.word + ' ' + (r.note ?? '')).toLowerCase()
		return words.every(w => text.includes(w))
	})
}

export function Actors({ banner }: { banner: ComponentChildren }) {
	const node = param('node')
	const nodes = useResource<Nodes>('monitoring/actors/nodes', 15_000)
	const far = useResource<Elsewhere>(node && 'monitoring/actors/tree?node=' + encodeURIComponent(node), 2000)
	if (node !== forestOf) [forest, forestOf] = [new Forest(), node]
	const farLines = useMemo(() => linesOf(far.data), [far.data])
	const lines = node ? farLines : entries('actors') as Map<string, Line>
	const second = Math.floor(now.value / 1000)
	const all = useMemo(() => forest.take(lines, now.value, language.value), [version('actors'), lines, second, language.value])
	const selected = param('sel')
	const pick = (id: string) => set({ sel: id === selected ? undefined : id }, 'push')
	const q = param('q'), branch = param('branch'), state = param('state')
	const filtered = q !== '' || state !== ''
	const shown = useMemo(() => matching(all, q, branch, state), [all, q, branch, state])
	useEffect(() => { tellRecoveries([...entries('events').values()] as ActorEvent[]) }, [version('events')])
	const tableView = param('view') === 'table'
	const [shownColumns, tools] = useColumns('actors', columns(), shown)
	const bad = useMemo(() => all.filter(r => rank(r.level) >= rank('work')), [all])
	useEffect(() => {
		const step = (d: number) => () => {
			if (bad.length === 0) return
			const at = bad.findIndex(r => r.id === selected)
			set({ sel: bad[(at + d + bad.length) % bad.length]!.id }, 'push')
		}
		const off = [bind('n', step(1)), bind('N', step(-1))]
		return () => off.forEach(f => f())
	}, [bad.map(r => r.id).join(), selected])
	const branches = useMemo(() => all.filter(r => r.depthIn === 1), [all])
	const source: Resource<true> = node ? { ...far, data: far.data && true } : ofTopic('actors', all.length > 0)
	return (
		<>
			<main id="main" tabIndex={-1}>
				{banner}
				<div class="filters">
					<Filter hint={tr('Name, kind or state', '名称、类型或状态')} />
					<Tabs label={tr('View', '视图')} value={param('view') === 'table' ? 'table' : 'tree'} of={[['tree', tr('Tree', '树')], ['table', tr('Table', '表')]] as const} pick={v => set({ view: v === 'tree' ? undefined : v }, 'push')} />
					{(nodes.data?.nodes.length ?? 0) > 1 && <Choice name="node" label={tr('Node', '节点')} of={nodes.data!.nodes.map(n => [n.self ? '' : n.node, n.node] as const)} />}
					<Choice name="branch" label={tr('Branch', '分支')} of={[['', tr('All', '全部')], ...branches.map(b => [b.id, b.name] as const)]} />
					<Choice name="state" label={tr('State', '状态')} of={[['', tr('All', '全部')], ['bad', tr('Not well', '异常')], ['crit', tr('Failed', '失败')], ['warn', tr('Waiting', '等待')], ['work', tr('Recovered', '已恢复')]]} />
					<span class="end nums">{bad.length > 0 && <span class="c-warn">{tr(`${bad.length} to look at`, `${bad.length} 项需关注`)}</span>}<span>{tr(`${count(all.length)} alive`, `${count(all.length)} 个存活`)}</span></span>
				</div>
				{!node && <Lanes branches={branches.map(b => b.name)} />}
				<Card undated {...(tableView ? { title: tr('Actors', 'Actor 列表'), end: tools } : {})}>
					<Shown of={source} what={tr('The tree', 'Actor 树')}>{() => shown.length === 0 ? <Empty title={tr('No actor is like that', '没有匹配的 Actor')}><button class="btn linkish" onClick={() => set({ q: undefined, state: undefined, branch: undefined })}>{tr('Clear the filter', '清除过滤')}</button></Empty>
						: tableView ? <Table rows={shown} columns={shownColumns} id={r => r.id} label={tr('Actors', 'Actor 列表')} first="-wait" pick={r => pick(r.id)} selected={selected} height={720} />
						: <Tree rows={shown} flat={filtered} selected={selected} pick={pick} />}</Shown>
				</Card>
			</main>
			<Drawers>{(id, close) => <ActorDrawer id={id} row={forest.get(id)} all={all} at={node} close={close} />}</Drawers>
		</>
	)
}

const columns = (): Column<Row>[] => [
	{ key: 'name', title: 'Actor', fluid: true, cell: r => <span class="row"><Mark level={r.level} word={r.word} /><span class="clip" title={r.id}>{r.id.replace(/^root\//, '')}</span></span>, value: r => r.id },
	{ key: 'kind', title: tr('Kind', '类型'), far: true, cell: r => <span class="dim">{r.kind}</span>, value: r => r.kind },
	{ key: 'rate', title: tr('msg/s', '消息/秒'), num: true, cell: r => rate(r.rate), value: r => r.rate },
	{ key: 'depth', title: tr('Mailbox', '邮箱'), num: true, cell: r => count(r.depth), value: r => r.depth },
	{ key: 'wait', title: tr('Wait p99', '等待 p99'), num: true, cell: r => span(r.wait_p99_seconds), value: r => r.wait_p99_seconds },
	{ key: 'busy', title: tr('Busy', '忙碌'), num: true, far: true, cell: r => percent(r.busy_ratio), value: r => r.busy_ratio },
	{ key: 'restarts', title: tr('Restarts', '重启'), num: true, cell: r => <span class={r.restarts ? 'c-work' : 'dim'}>{count(r.restarts)}</span>, value: r => r.restarts },
	{ key: 'dead', title: tr('Dead letters', '死信'), num: true, far: true, cell: r => count(r.dead_letters ?? 0), value: r => r.dead_letters ?? 0 },
	{ key: 'alive', title: tr('Alive', '存活'), num: true, far: true, cell: r => span(Math.round(since(r.started_at, now.value))), value: r => -new Date(r.started_at).getTime() },
]

/** The supervision tree: only the rows in sight are there, so that 20,000 actors scroll. */
function Tree({ rows, flat, selected, pick }: { rows: Row[]; flat: boolean; selected: string; pick: (id: string) => void }) {
	const [folds, setFolds] = useState<Record<string, boolean>>({})
	const [top, setTop] = useState(0)
	const [focus, setFocus] = useState(selected)
	const box = useRef<HTMLDivElement>(null)
	const tall = density.value === 'compact' ? 26 : 34
	const height = 780
	const unfolded = param('unfold') === 'all'
	/** Deep parts are folded at first, except where something is wrong or selected; the URL or the key * unfolds all. */
	const folded = (r: Row) => r.children > 0 && (folds[r.id] ?? (!unfolded && !selected.startsWith(r.id + '/') && (r.depthIn >= 2 && r.below > 12 || r.below > 400)))
	const visible = useMemo(() => {
		if (flat) return rows
		const out: Row[] = []
		let hidden = Infinity // deeper than this is folded away
		for (const r of rows) {
			if (r.depthIn > hidden) continue
			hidden = Infinity
			out.push(r)
			if (folded(r)) hidden = r.depthIn
		}
		return out
	}, [rows, flat, folds, selected, unfolded])
	const from = Math.max(0, Math.floor(top / tall) - 10)
	const until = Math.min(visible.length, Math.ceil((top + height) / tall) + 10)
	const at = visible.findIndex(r => r.id === focus)
	useEffect(() => { if (selected) setFocus(selected) }, [selected])
	useEffect(() => {
		const i = visible.findIndex(r => r.id === focus)
		if (i < 0 || !box.current) return
		const y = i * tall
		if (y < box.current.scrollTop) box.current.scrollTop = y
		else {
			const seen = Math.min(box.current.clientHeight, innerHeight - box.current.getBoundingClientRect().top) // the page may end before the tree does
			if (y + tall * 3 > box.current.scrollTop + seen) box.current.scrollTop = y + tall * 6 - seen
		}
	}, [focus, selected])
	const key = (e: KeyboardEvent) => {
		const r = visible[at]
		const fold = (on: boolean) => r && setFolds({ ...folds, [r.id]: on })
		switch (e.key) {
			case 'ArrowDown': case 'j': setFocus(visible[Math.min(visible.length - 1, at + 1)]?.id ?? ''); break
			case 'ArrowUp': case 'k': setFocus(visible[Math.max(0, at - 1)]?.id ?? ''); break
			case 'ArrowRight': if (r && folded(r)) fold(false); break
			case 'ArrowLeft': if (r && r.children && !folded(r)) fold(true); else if (r) setFocus(r.parent); break
			case 'Enter': if (r) pick(r.id); break
			case '*': setFolds({}); set({ unfold: unfolded ? undefined : 'all' }); break
			default: return
		}
		e.preventDefault()
		e.stopPropagation()
	}
	return (
		<div class="scroll tree" ref={box} style={{ maxHeight: height + 'px' }} role="treegrid" aria-label={tr('Supervision tree', '监督树')} aria-rowcount={visible.length + 1} tabIndex={0}
			aria-activedescendant={at >= from && at < until ? 'actor-' + at : undefined} onKeyDown={key} onScroll={e => setTop(e.currentTarget.scrollTop)}>
			<div class="branch head label" role="row"><span role="columnheader">Actor</span><span class="wide" role="columnheader"><span class="sr">{tr('Last minute', '最近一分钟')}</span></span><span class="num" role="columnheader">{tr('Messages/s', '消息/秒')}</span><span class="num" role="columnheader">{tr('Mailbox', '邮箱')}</span><span class="num" role="columnheader">{tr('Wait p99', '等待 p99')}</span><span class="num wide" role="columnheader">{tr('Busy', '忙碌')}</span><span role="columnheader">{tr('Restarts', '重启')}</span><span class="num wide" role="columnheader">{tr('Alive', '存活')}</span></div>
			<div role="presentation" style={{ height: from * tall + 'px' }} />
			{visible.slice(from, until).map((r, i) => {
				const shut = folded(r) && !flat
				const level = shut ? r.worst : r.level
				const late = r.wait_p99_seconds > waitLimit
				return (
					<div key={r.id} id={'actor-' + (from + i)} role="row" aria-level={r.depthIn + 1} aria-expanded={r.children && !flat ? !shut : undefined} aria-selected={r.id === selected} aria-rowindex={from + i + 2}
						class={'branch l-' + level + (r.id === focus ? ' focus' : '')} onClick={() => { setFocus(r.id); pick(r.id) }}>
						<span role="gridcell" class="row name" style={{ paddingLeft: (flat ? 0 : r.depthIn * 16) + 'px' }}>
							{r.children > 0 && !flat ? <button class="twisty" tabIndex={-1} aria-label={shut ? tr('Unfold', '展开') : tr('Fold', '折叠')} onClick={e => { e.stopPropagation(); setFolds({ ...folds, [r.id]: !shut }) }}><Icon name={shut ? 'chevron-right' : 'chevron-down'} size={14} /></button> : <i class="twisty" />}
							<Icon name={levelIcon[level]} size={14} label={shut ? tr(`worst below: ${level}`, `下级最差：${level}`) : r.word} cls={'c-' + level + (level === 'work' ? ' spin' : '')} />
							<b class="clip">{flat ? r.id.replace(/^root\//, '') : r.name}</b>
							<span class="dim clip fact">{r.level !== 'ok' ? r.word : r.note || (r.children ? r.below : '')}</span>
						</span>
						<span role="gridcell" class="wide"><Spark points={forest.past(r.id)} /></span>
						<span role="gridcell" class={'num' + (r.rate ? '' : ' dim')}>{rate(r.rate)}</span>
						<span role="gridcell" class="num dim">{count(r.depth)}</span>
						<span role="gridcell" class={'num waits' + (late ? ' c-warn' : r.wait_p99_seconds ? '' : ' dim')}><i class={'mini' + (late ? ' over' : '')}><i style={{ width: Math.min(100, (r.wait_p99_seconds / waitLimit) * 75) + '%' }} /></i>{r.wait_p99_seconds ? span(r.wait_p99_seconds) : '–'}</span>
						<span role="gridcell" class={'num wide' + (r.busy_ratio ? '' : ' dim')}>{percent(r.busy_ratio)}</span>
						<span role="gridcell">{r.budget ? <Pips left={r.left ?? r.budget} of={r.budget} /> : <span class={r.restarts ? 'c-work' : 'dim'}>{r.restarts}</span>}</span>
						<span role="gridcell" class="num dim wide" title={exact(r.started_at)}>{span(Math.round(since(r.started_at, now.value)))}</span>
					</div>
				)
			})}
			<div role="presentation" style={{ height: (visible.length - until) * tall + 'px' }} />
		</div>
	)
}
