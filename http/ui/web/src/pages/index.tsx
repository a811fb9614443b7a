import type { ComponentChildren, ComponentType } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Empty } from '../parts/panel'
import { href, type Page } from '../state/route'
import { tr } from '../state/words'
import { Overview } from './overview'

/** A page is what stands beside the rail; a drawer of its own comes behind the main part. */
export type PageView = ComponentType<{ banner: ComponentChildren }>

/** What each page follows live, beside what every page does. */
export const topicsOf: Record<Page, string[]> = {
	overview: ['storage', 'system', 'events'], actors: ['actors', 'events'], streams: ['streams'], market: [], storage: ['storage'], broker: [], scheduler: [],
	cluster: [], alerts: [], explore: ['events'], logs: [], config: [],
}

/** Pages that are fetched when they are first seen. */
const others: Partial<Record<Page, () => Promise<PageView>>> = {
	actors: async () => (await import('./actors')).Actors,
	alerts: async () => (await import('./alerts')).Alerts,
	storage: async () => (await import('./storage')).Storage,
	broker: async () => (await import('./broker')).Broker,
	scheduler: async () => (await import('./scheduler')).Scheduler,
	logs: async () => (await import('./logs')).Logs,
	config: async () => (await import('./config')).Config,
	cluster: async () => (await import('./cluster')).Cluster,
	market: async () => (await import('./market')).Market,
	explore: async () => (await import('./explore')).Explore,
	streams: async () => (await import('./streams')).Streams,
}

const there = new Map<Page, PageView>([['overview', Overview]])

/** The pages there are, for the rail. */
export const offered = (p: Page) => p === 'overview' || p in others

export function PageOf({ page, banner }: { page: Page | null; banner: ComponentChildren }) {
	const [, loaded] = useState(0)
	const [fault, setFault] = useState('')
	useEffect(() => {
		setFault('')
		if (!page || !others[page] || there.has(page)) return
		let mine = true
		others[page]!().then(v => { there.set(page, v); if (mine) loaded(n => n + 1) }, e => { if (mine) setFault(String(e)) })
		return () => { mine = false }
	}, [page])
	if (!page || !offered(page)) return <main id="main" tabIndex={-1}><Empty title={tr('There is no such page', '没有此页面')}><a href={href('overview')}>{tr('To the overview', '回到概览')}</a></Empty></main>
	const View = there.get(page)
	if (View) return <View key={page} banner={banner} />
	return (
		<main id="main" tabIndex={-1} aria-busy={fault === ''}>{banner}
			{fault && <Empty title={tr('The page could not be fetched', '页面加载失败')}>{fault} <a href={location.href} target="_self">{tr('Load again', '重新加载')}</a></Empty>}
		</main>
	)
}
