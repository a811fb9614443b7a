import { effect, signal } from '@preact/signals'
import { setZone, type Zone } from './format'

/** What a person likes; kept in the browser. */
function kept<T extends string>(key: string, first: T, allowed: readonly T[]) {
	let start = first
	try {
		const found = localStorage.getItem('mp.' + key) as T | null
		if (found && allowed.includes(found)) start = found
	} catch { /* a browser that keeps nothing: the default counts */ }
	const s = signal<T>(start)
	effect(() => {
		const value = s.value
		try { localStorage.setItem('mp.' + key, value) } catch { /* not kept: counts until the page is closed */ }
	})
	return s
}

const darkFirst = !matchMedia('(prefers-color-scheme: light)').matches
const chinese = navigator.language.toLowerCase().startsWith('zh')

export const theme = kept('theme', darkFirst ? 'dark' : 'light', ['dark', 'light'] as const)
export const language = kept('language', chinese ? 'zh' : 'en', ['en', 'zh'] as const)
export const density = kept('density', 'compact', ['compact', 'comfortable'] as const)
export const rising = kept('rising', chinese ? 'red' : 'green', ['green', 'red', 'blue'] as const)
export const timeZone = kept<Zone>('zone', 'utc', ['utc', 'local'])
export const letterKeys = kept('keys', 'on', ['on', 'off'] as const)

effect(() => {
	const root = document.documentElement
	root.dataset.theme = theme.value
	root.dataset.density = density.value
	root.dataset.rising = rising.value
	root.lang = language.value === 'zh' ? 'zh-CN' : 'en'
	setZone(timeZone.value)
})
