import { get } from './api'
import { frozen } from './live'
import { useAsked, type Resource } from './resource'

export interface Series { labels: Record<string, string>; points: [number, number][] }

interface Answer { data: { resultType: string; result: { metric: Record<string, string>; values?: [number, string][]; value?: [number, string] }[] } }

const number = (text: string) => text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text)

function read(a: Answer): Series[] {
	return a.data.result.map(r => ({
		labels: r.metric,
		points: (r.values ?? (r.value ? [r.value] : [])).map(([t, v]): [number, number] => [t, number(v)]),
	}))
}

export async function instant(query: string, signal?: AbortSignal): Promise<Series[]> {
	const time = frozen.peek() ? '&time=' + frozen.peek() / 1000 : ''
	return read(await get<Answer>('monitoring/query?query=' + encodeURIComponent(query) + time, signal))
}

export async function range(query: string, seconds: number, step: number, signal?: AbortSignal, until = 0): Promise<Series[]> {
	const end = Math.floor((until || frozen.peek() || Date.now()) / 1000 / step) * step
	return read(await get<Answer>(`monitoring/query_range?query=${encodeURIComponent(query)}&start=${end - seconds}&end=${end}&step=${step}`, signal))
}

/** Several questions at once, by name; one that fails says nothing, all failing is an error. */
export function useInstants(queries: Record<string, string>, every = 5000): Resource<Record<string, Series[]>> {
	return useAsked(JSON.stringify(queries), signal => gathered(queries, q => instant(q, signal)), every)
}

export function useRanges(queries: Record<string, string>, seconds: number, step: number, every = 15_000): Resource<Record<string, Series[]>> {
	return useAsked(seconds + ' ' + step + JSON.stringify(queries), signal => gathered(queries, q => range(q, seconds, step, signal)), every)
}

async function gathered(queries: Record<string, string>, ask: (q: string) => Promise<Series[]>): Promise<Record<string, Series[]>> {
	const names = Object.keys(queries)
	const found = await Promise.allSettled(names.map(n => ask(queries[n]!)))
	const bad = found.find(r => r.status === 'rejected')
	if (bad && found.every(r => r.status === 'rejected')) throw bad.reason
	return Object.fromEntries(found.flatMap((r, i) => r.status === 'fulfilled' ? [[names[i]!, r.value]] : []))
}

/** The one value of an answer that has one. */
export function only(s: Series[] | undefined): number | undefined {
	const v = s?.[0]?.points.at(-1)?.[1]
	return v !== undefined && Number.isFinite(v) ? v : undefined
}
