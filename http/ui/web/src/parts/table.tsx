import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
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

const collator = new Intl.Collator('en', { numeric: true })

function compare(a: string | number | null | undefined, b: string | number | null | undefined): number {
	if (a === b) return 0
	if (a === null || a === undefined || a === '') return 1
	if (b === null || b === undefined || b === '') return -1
	return typeof a === 'number' && typeof b === 'number' ? a - b : collator.compare(String(a), String(b))
}

/** An order of rows: of each place, which row stands there. */
interface Order { sort: string; at: number; ids: string[]; places: number[] }

/** Sorts rows by a column, beginning with an order that was right a moment ago. */
function sorted<T>(rows: T[], before: number[] | undefined, column: Column<T>, sign: number): number[] {
	const values = rows.map(column.value)
	const places = before?.length === rows.length ? before.slice() : rows.map((_, i) => i)
	return places.sort((a, b) => sign * compare(values[a], values[b]) || a - b)
}

/** The order of rows: as the URL says, else as they came. It moves every 5 s at most, and
 * never under the pointer or the focus. Of many thousand rows only those in sight are taken. */
function useOrder<T>(rows: T[], id: (r: T) => string, columns: Column<T>[], sort: string, held: boolean): { count: number; at: (i: number) => T; moved: number; settle: () => void } {
	const last = useRef<Order | null>(null)
	const moved = useRef(0)
	const [, again] = useState(0)
	const column = columns.find(c => c.key === sort.replace(/^-/, ''))
	if (!column) return { count: rows.length, at: i => rows[i]!, moved: 0, settle: () => {} }
	const sign = sort.startsWith('-') ? -1 : 1
	const keep = last.current
	const same = keep !== null && keep.sort === sort && keep.ids.length === rows.length && keep.ids.every((k, i) => k === id(rows[i]!))
	if (keep === null || keep.sort !== sort || (!same && !held) || (!held && Date.now() - keep.at >= 5000)) {
		last.current = { sort, at: Date.now(), ids: rows.map(id), places: sorted(rows, keep?.places, column, sign) }
		moved.current = 0
	} else if (!same) { // somebody looks at it: who is new comes last
		const was = new Map(keep.places.map((p, i) => [keep.ids[p]!, i] as const))
		const places = rows.map((_, i) => i).sort((a, b) => (was.get(id(rows[a]!)) ?? 1e9) - (was.get(id(rows[b]!)) ?? 1e9) || a - b)
		last.current = { ...keep, ids: rows.map(id), places }
	} else if (held && Date.now() - keep.at >= 5000) {
		const fresh = sorted(rows, keep.places, column, sign)
		moved.current = fresh.reduce((n, p, i) => n + (p === keep.places[i] ? 0 : 1), 0)
		keep.at = Date.now()
	}
	const { places } = last.current!
	return { count: rows.length, at: i => rows[places[i]!]!, moved: moved.current, settle: () => { last.current = null; again(n => n + 1) } }
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
	const until = Math.min(shown.count, Math.ceil((top + height) / tall) + 8)
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
			setFocus(Math.min(shown.count - 1, Math.max(0, focus + step)))
		} else if (e.key === 'Enter' && focus >= 0 && pick && (e.target as HTMLElement).tagName !== 'BUTTON') {
			if (focus < shown.count) pick(shown.at(focus))
		}
	}
	const by = (c: Column<T>) => set({ [sortName]: sort === '-' + c.key ? c.key : sort === c.key ? '-' + c.key : c.num ? '-' + c.key : c.key })
	return (
		<div class="scroll" ref={box} style={{ maxHeight: height + 'px' }} tabIndex={0} role="region" aria-label={label} onKeyDown={key}
			onScroll={e => setTop(e.currentTarget.scrollTop)} onPointerEnter={() => hold(true)} onPointerLeave={() => hold(false)}>
			<table class="t" aria-rowcount={shown.count + 1}>
				<thead><tr>{columns.map(c => (
					<th class={(c.num ? 'num ' : '') + (c.far ? 'far' : '')} aria-sort={sort === c.key ? 'ascending' : sort === '-' + c.key ? 'descending' : undefined}>
						<button onClick={() => by(c)}>{c.title}{sort === c.key ? ' ↑' : sort === '-' + c.key ? ' ↓' : ''}</button>
					</th>
				))}</tr></thead>
				<tbody>
					{from > 0 && <tr aria-hidden="true"><td colSpan={columns.length} style={{ height: from * tall + 'px', padding: 0, border: 0 }} /></tr>}
					{Array.from({ length: Math.max(0, until - from) }, (_, i) => shown.at(from + i)).map((r, i) => (
						<tr key={id(r)} aria-rowindex={from + i + 2} class={(pick ? 'pick ' : '') + (rowClass?.(r) ?? '')} aria-selected={selected !== undefined || focus >= 0 ? id(r) === selected || from + i === focus : undefined}
							onClick={pick && (e => { if (!(e.target as Element).closest('a,button')) pick(r) })}>
							{columns.map(c => <td class={(c.num ? 'num ' : '') + (c.fluid ? 'fluid ' : '') + (c.far ? 'far' : '')}>{c.cell(r)}</td>)}
						</tr>
					))}
					{until < shown.count && <tr aria-hidden="true"><td colSpan={columns.length} style={{ height: (shown.count - until) * tall + 'px', padding: 0, border: 0 }} /></tr>}
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
