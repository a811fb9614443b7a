import { letterKeys } from './prefs'
import { step, toggle } from './moment'
import { go, pages, type Page } from './route'
import { toggleTwin } from './twin'

/** Keys of the whole page. A page adds its own with `bind`. */
const letters: Record<string, Page> = { o: 'overview', a: 'actors', s: 'streams', m: 'market', t: 'storage', b: 'broker', h: 'scheduler', c: 'cluster', l: 'alerts', e: 'explore', j: 'logs', f: 'config' }

export const keyOf = (p: Page): string => 'g ' + Object.keys(letters).find(k => letters[k] === p)

const bound = new Map<string, () => void>()

/** Binds a key while a component lives; returns what unbinds it. */
export function bind(key: string, act: () => void): () => void {
	const before = bound.get(key)
	bound.set(key, act)
	return () => {
		if (bound.get(key) !== act) return
		if (before) bound.set(key, before)
		else bound.delete(key)
	}
}

/** Copies the link to what is shown. */
export function copyLink() { void navigator.clipboard?.writeText(location.href).then(() => bound.get('copied')?.()) }

let leading = 0

export function pressed(e: KeyboardEvent) {
	const target = e.target as HTMLElement
	const typing = target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)
	if ((e.metaKey || e.ctrlKey) && e.key.toLowerCase() === 'k') {
		e.preventDefault()
		bound.get('palette')?.()
		return
	}
	if (e.key === 'Escape') {
		if (document.querySelector('dialog[open]')) return // it closes itself, and what is below it stays
		bound.get('Escape')?.()
		return
	}
	if (typing || e.metaKey || e.ctrlKey || e.altKey || document.querySelector('dialog[open]')) return
	if (letterKeys.value === 'off' && e.key.length === 1) return
	if (leading && e.timeStamp - leading < 1200) {
		leading = 0
		const to = letters[e.key]
		if (to && pages.includes(to)) {
			e.preventDefault()
			go(to)
			return
		}
	}
	if (e.key === 'g') { leading = e.timeStamp; return }
	if (e.key === '.') { toggle(); return }
	if (e.key === '[' || e.key === ']') { step(e.key === '[' ? -1 : 1); return }
	if (e.key === 'v') { toggleTwin(); return }
	if (e.key === 'y') { copyLink(); return }
	if (e.key === '/') {
		const field = document.querySelector<HTMLInputElement>('[data-filter]')
		if (field) { e.preventDefault(); field.focus() }
		return
	}
	const act = bound.get(e.key)
	if (act) { e.preventDefault(); act() }
}
