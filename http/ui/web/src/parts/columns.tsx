import { signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { tr } from '../state/words'
import { Icon } from './icon'
import { Copy, type Column } from './table'

/** Columns that a person has put away, by table; kept in the browser. */
const hidden = signal<Record<string, string[]>>(read())

function read(): Record<string, string[]> {
	try { return JSON.parse(localStorage.getItem('mp.columns') ?? '{}') as Record<string, string[]> } catch { return {} }
}

function put(table: string, keys: string[]) {
	hidden.value = { ...hidden.value, [table]: keys }
	try { localStorage.setItem('mp.columns', JSON.stringify(hidden.value)) } catch { /* counts until the page is closed */ }
}

/** The columns of a table that are shown, and what stands at the head of its card: the
 * choice of columns, and the copy. The first column is always there. */
export function useColumns<T>(table: string, all: Column<T>[], rows: readonly T[]): [Column<T>[], ComponentChildren] {
	const away = hidden.value[table] ?? []
	const shown = all.filter((c, i) => i === 0 || !away.includes(c.key))
	const flip = (key: string) => put(table, away.includes(key) ? away.filter(k => k !== key) : [...away, key])
	const tools = (
		<>
			<details class="menu" onKeyDown={e => { if (e.key === 'Escape') { e.currentTarget.open = false; e.stopPropagation() } }} onFocusOut={e => { if (!e.currentTarget.contains(e.relatedTarget as Node | null)) e.currentTarget.open = false }}>
				<summary class="btn plain" title={tr('Columns', '列')} aria-label={tr('Choose columns', '选择列')}><Icon name="columns-3" size={14} /></summary>
				<div class="menu-box" tabIndex={-1}>
					{all.slice(1).map(c => <label><input type="checkbox" checked={!away.includes(c.key)} onChange={() => flip(c.key)} />{c.title}</label>)}
					{away.length > 0 && <button class="btn linkish" onClick={() => put(table, [])}>{tr('All columns', '全部列')}</button>}
				</div>
			</details>
			<Copy rows={rows as T[]} columns={shown} />
		</>
	)
	return [shown, tools]
}
