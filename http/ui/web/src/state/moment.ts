import { computed, effect } from '@preact/signals'
import { frozen, freeze as hold, now as wall } from './live'
import { param, set } from './route'

/** When the page is of: now, or the time that the URL holds (at=), where everything on
 * it stands still. Whoever opens that link sees the same moment. */

/** The time the URL names, in ms; 0 while the page is live. */
export const replayed = computed(() => {
	const t = Date.parse(param('at'))
	return Number.isFinite(t) && t <= Date.now() + 60_000 ? t : 0
})

/** What pages reckon ages from, in ms. */
export const now = computed(() => frozen.value || wall.value)

/** Whether it is long enough ago that everything has to be asked for again. */
export const past = computed(() => replayed.value > 0 && Date.now() - replayed.value > 5000)

effect(() => {
	const t = replayed.value
	if (t !== frozen.peek()) hold(t)
})

/** Freezes the page at a time, in ms; 0 lets it go on. */
export function freeze(at: number) { set({ at: at ? new Date(at).toISOString() : undefined }, at && replayed.peek() ? 'replace' : 'push') }

/** Freezes the page now, or lets it go on. */
export const toggle = () => freeze(frozen.peek() ? 0 : Date.now())

/** How far a page looks back, in seconds, by the word that the URL holds. */
export const ranges: Record<string, number> = { '5m': 300, '15m': 900, '1h': 3600, '6h': 21_600, '24h': 86_400 }

export const rangeWord = (fallback: string) => ranges[param('range')] ? param('range') : fallback

/** Moves the moment by a part of what the page looks back; beyond now it is live again. */
export function step(sign: 1 | -1) {
	const by = Math.max(60, (ranges[param('range')] ?? 900) / 3) * 1000
	const to = (frozen.peek() || Date.now()) + sign * by
	freeze(to > Date.now() - 1000 ? 0 : to)
}
