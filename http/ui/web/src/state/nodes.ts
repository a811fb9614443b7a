import { signal } from '@preact/signals'
import { get } from './api'
import { heard } from './live'

/** Where else this page is served: by the nodes of the cluster, as they were while one answered. */

interface View { self: string; nodes: { id: string; state: string; services: { service: string; url: string }[] }[] }

export const others = signal<{ id: string; url: string }[]>([])
/** The node that serves this page, and how many nodes there are; '' and 0 while nobody has said. */
export const self = signal('')
export const members = signal(0)

async function look() {
	if (document.hidden || !heard.peek() || Date.now() - heard.peek() > 5000) return
	try {
		const v = await get<View>('monitoring/cluster?owners=false')
		self.value = v.self
		members.value = v.nodes.length
		const own = v.nodes.find(n => n.id === v.self)?.services.find(s => new URL(s.url).port === location.port)?.service ?? 'monitoring-service'
		others.value = v.nodes.filter(n => n.id !== v.self && n.state !== 'unreachable').flatMap(n => {
			const at = n.services.find(s => s.service === own)
			return at ? [{ id: n.id, url: at.url }] : []
		})
	} catch { /* what was known stays: it is for when nobody answers */ }
}

/** Keeps looking for as long as the page lives. */
export function lookAround() {
	for (const soon of [1000, 5000]) setTimeout(look, soon)
	setInterval(look, 60_000)
}
