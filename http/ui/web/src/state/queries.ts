import all from './queries.json'

/** Every PromQL expression that pages ask by themselves; a test holds each against the
 * catalogue of metrics. */
export type Query = keyof typeof all

export function query(name: Query, values: Record<string, string> = {}): string {
	return all[name].replace(/\$(\w+)/g, (_, k: string) => (values[k] ?? '').replace(/["\\]/g, '\\$&'))
}

export function queries<N extends Query>(...names: N[]): Record<N, string> {
	return Object.fromEntries(names.map(n => [n, query(n)])) as Record<N, string>
}

/** Limits that bars draw: those of the alerting rules where there is one, in seconds. */
export const limits = {
	/** ExchangeLagHigh */ exchange: 5,
	/** PipelineLagHigh */ publish: 0.5,
	/** recorder batch to journal acknowledgement */ acknowledge: 0.5,
	/** what a write waits to become visible */ visible: 2,
	/** high_response_time */ answer: 5,
}
