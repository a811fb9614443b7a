import { signal, type ReadonlySignal } from '@preact/signals'

function media(query: string): ReadonlySignal<boolean> {
	const list = matchMedia(query)
	const s = signal(list.matches)
	list.addEventListener('change', e => { s.value = e.matches })
	return s
}

/** A telephone: grids become lists. */
export const narrow = media('(max-width: 639px)')

/** Room for two drawers, and for four books. */
export const vast = media('(min-width: 2200px)')
