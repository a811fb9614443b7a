import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { density } from '../state/prefs'
import { param, set } from '../state/route'
import { tr } from '../state/words'
import { Icon } from './icon'
import { toast } from './toast'

export interface Column<T> {
	key: string
	title: string
	num?: boolean
	/** Takes what room is left. */
	fluid?: boolean
	/** Not on narrow screens. */
	far?: boolean
	cell: (row: T) => ComponentChildren
	/** What it is sorted by, and copied as. */
	value: (row: T) => string | number | null | undefined
}

function compare(a: string | number | null | undefined, b: string | number | null | undefined): number {
	if (a === b) return 0
	if (a === null || a === undefined || a === '') return 1
	if (b === null || b === undefined || b === '') return -1
	return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en', { numeric: true })
}

/** The order of rows: as the URL says, else as they came. It moves every 5 s at most, and
 * never under the pointer or the focus. */
function useOrder<T>(rows: T[], id: (r: T) => string, columns: Column<T>[], sort: string, held: boolean): { rows: T[]; moved: number; settle: () => void } {
	const last = useRef<{ sort: string; at: number; order: Map<string, number> }>({ sort: '', at: 0, order: new Map() })
	const [, again] = useState(0)
	const column = columns.find(c => c.key === sort.replace(/^-/, ''))
	const sorted = useMemo(() => {
		if (!column) return rows
		const sign = sort.startsWith('-') ? -1 : 1
		return rows.map(r => [column.value(r), r] as const).sort((a, b) => sign * compare(a[0], b[0])).map(x => x[1])
	}, [rows, sort])
	const keep = last.current
	const fresh = keep.sort !== sort || keep.order.size === 0
	if (column && !fresh && (held || Date.now() - keep.at < 5000)) {
		const order = keep.order
		const still = [...sorted].sort((a, b) => (order.get(id(a)) ?? 1e9) - (order.get(id(b)) ?? 1e9))
		let moved = 0
		if (held) for (let i = 0; i < still.length; i++) if (still[i] !== sorted[i]) moved++
		return { rows: still, moved, settle: () => { keep.at = 0; keep.order = new Map(); again(n => n + 1) } }
	}
	last.current = { sort, at: Date.now(), order: new Map(sorted.map((r, i) => [id(r), i])) }
	return { rows: sorted, moved: 0, settle: () => {} }
}

interface Props<T> {
	rows: T[]
	columns: Column<T>[]
	id: (r: T) => string
	label: string
	/** What the URL calls the order. */
	sortName?: string
	first?: string
	pick?: (r: T) => void
	selected?: string
	/** The most it takes, in pixels. */
	height?: number
	rowClass?: (r: T) => string
}

/** A table of any length: only the rows in sight are there. */
export function Table<T>({ rows, columns, id, label, sortName = 'sort', first = '', pick, selected, height = 560, rowClass }: Props<T>) {
	const box = useRef<HTMLDivElement>(null)
	const [top, setTop] = useState(0)
	const [held, hold] = useState(false)
	const sort = param(sortName) || first
	const shown = useOrder(rows, id, columns, sort, held)
	const tall = density.value === 'compact' ? 28 : 36
	const from = Math.max(0, Math.floor(top / tall) - 8)
	const until = Math.min(shown.rows.length, Math.ceil((top + height) / tall) + 8)
	const [focus, setFocus] = useState(-1)
	useEffect(() => {
		if (focus < 0 || !box.current) return
		const y = focus * tall
		if (y < box.current.scrollTop) box.current.scrollTop = y
		else if (y + tall * 2 > box.current.scrollTop + box.current.clientHeight) box.current.scrollTop = y + tall * 2 - box.current.clientHeight
	}, [focus])
	const key = (e: KeyboardEvent) => {
		const step = e.key === 'ArrowDown' || e.key === 'j' ? 1 : e.key === 'ArrowUp' || e.key === 'k' ? -1 : 0
		if (step) {
			e.preventDefault()
			e.stopPropagation()
			setFocus(Math.min(shown.rows.length - 1, Math.max(0, focus + step)))
		} else if (e.key === 'Enter' && focus >= 0 && pick && (e.target as HTMLElement).tagName !== 'BUTTON') {
			const row = shown.rows[focus]
			if (row) pick(row)
		}
	}
	const by = (c: Column<T>) => set({ [sortName]: sort === '-' + c.key ? c.key : sort === c.key ? '-' + c.key : c.num ? '-' + c.key : c.key })
	return (
		<div class="scroll" ref={box} style={{ maxHeight: height + 'px' }} tabIndex={0} role="region" aria-label={label} onKeyDown={key}
			onScroll={e => setTop(e.currentTarget.scrollTop)} onPointerEnter={() => hold(true)} onPointerLeave={() => hold(false)}>
			<table class="t" aria-rowcount={shown.rows.length + 1}>
				<thead><tr>{columns.map(c => (
					<th class={(c.num ? 'num ' : '') + (c.far ? 'far' : '')} aria-sort={sort === c.key ? 'ascending' : sort === '-' + c.key ? 'descending' : undefined}>
						<button onClick={() => by(c)}>{c.title}{sort === c.key ? ' ↑' : sort === '-' + c.key ? ' ↓' : ''}</button>
					</th>
				))}</tr></thead>
				<tbody>
					{from > 0 && <tr aria-hidden="true"><td colSpan={columns.length} style={{ height: from * tall + 'px', padding: 0, border: 0 }} /></tr>}
					{shown.rows.slice(from, until).map((r, i) => (
						<tr key={id(r)} aria-rowindex={from + i + 2} class={(pick ? 'pick ' : '') + (rowClass?.(r) ?? '')} aria-selected={selected !== undefined || focus >= 0 ? id(r) === selected || from + i === focus : undefined}
							onClick={pick && (e => { if (!(e.target as Element).closest('a,button')) pick(r) })}>
							{columns.map(c => <td class={(c.num ? 'num ' : '') + (c.fluid ? 'fluid ' : '') + (c.far ? 'far' : '')}>{c.cell(r)}</td>)}
						</tr>
					))}
					{until < shown.rows.length && <tr aria-hidden="true"><td colSpan={columns.length} style={{ height: (shown.rows.length - until) * tall + 'px', padding: 0, border: 0 }} /></tr>}
				</tbody>
			</table>
			{shown.moved > 0 && held && <button class="btn" style={{ position: 'sticky', bottom: '8px', left: '12px' }} onClick={shown.settle}>{tr(`${shown.moved} rows moved, sort`, `${shown.moved} 行已变动，重新排序`)}</button>}
		</div>
	)
}

/** Copies a table as tab-separated values. */
export function Copy<T>({ rows, columns }: { rows: T[]; columns: Column<T>[] }) {
	const copy = async () => {
		const lines = [columns.map(c => c.title), ...rows.map(r => columns.map(c => String(c.value(r) ?? '')))].map(l => l.join('\t'))
		try {
			await navigator.clipboard.writeText(lines.join('\n'))
			toast('ok', tr(`${rows.length} rows copied`, `已复制 ${rows.length} 行`))
		} catch { toast('crit', tr('The browser does not allow copying', '浏览器不允许复制')) }
	}
	return <button class="btn plain" title={tr('Copy as tab-separated values', '复制为制表符分隔文本')} aria-label={tr('Copy the table', '复制表格')} onClick={copy}><Icon name="table" size={14} /></button>
}
