import { computed, signal } from '@preact/signals'

/** The URL holds what is seen: the page is its path, the view its query. */

export const pages = ['overview', 'actors', 'streams', 'market', 'storage', 'broker', 'scheduler', 'cluster', 'alerts', 'explore', 'logs', 'config'] as const
export type Page = (typeof pages)[number]

const at = signal(new URL(location.href))

addEventListener('popstate', () => { at.value = new URL(location.href) })

export const page = computed<Page | null>(() => {
	const word = at.value.pathname.replace(/^\/+|\/+$/g, '')
	if (word === '') return 'overview'
	return (pages as readonly string[]).includes(word) ? (word as Page) : null
})

/** One parameter of the view; '' when it is not given. */
export function param(name: string): string { return at.value.searchParams.get(name) ?? '' }

type Params = Record<string, string | undefined>

export function href(to: Page, params: Params = {}): string {
	const q = new URLSearchParams()
	if (param('at')) q.set('at', param('at')) // a frozen moment is looked at from all sides
	for (const [k, v] of Object.entries(params)) if (v) q.set(k, v)
	const query = q.toString()
	return (to === 'overview' ? '/' : '/' + to) + (query ? '?' + query : '')
}

function show(url: string, how: 'push' | 'replace') {
	if (how === 'push') history.pushState(null, '', url)
	else history.replaceState(null, '', url)
	at.value = new URL(location.href)
}

export function go(to: Page, params: Params = {}) {
	show(href(to, params), 'push')
	scrollTo(0, 0)
}

/** Changes parameters of the view that is shown: a selection pushes, a filter replaces. */
export function set(params: Params, how: 'push' | 'replace' = 'replace') {
	const q = new URLSearchParams(at.value.search)
	for (const [k, v] of Object.entries(params)) {
		if (v) q.set(k, v)
		else q.delete(k)
	}
	const query = q.toString()
	show(at.value.pathname + (query ? '?' + query : ''), how)
}

/** Follows a link of the page itself without loading it anew. */
export function followed(e: MouseEvent) {
	if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
	const a = (e.target as Element | null)?.closest?.('a')
	if (!a || a.target || a.origin !== location.origin || a.hasAttribute('download')) return
	const word = a.pathname.replace(/^\/+|\/+$/g, '')
	if (word !== '' && !(pages as readonly string[]).includes(word)) return
	e.preventDefault()
	if (a.href !== location.href) show(a.href, 'push')
}
