import type { Row } from './row'

const numbers: Record<string, (r: Row) => number | undefined> = { gaps: r => r.gaps_total, open: r => r.open, age: r => r.age, rate: r => r.rate, lag: r => r.lag, resyncs: r => r.resyncs, live: r => r.coverage_percent ?? undefined, verified: r => r.verified_percent ?? undefined }

/** A filter in words: okx BTC* gaps>0 lag>500ms. Words match the beginning of a part, * anything. */
export function filter(text: string, r: Row): boolean {
	return text.trim().toLowerCase().split(/\s+/).filter(Boolean).every(word => {
		const m = /^([a-z]+)([<>])([\d.]+)(ms|s|m)?$/.exec(word)
		if (m && numbers[m[1]!]) {
			const v = numbers[m[1]!]!(r)
			const limit = Number(m[3]) * (m[4] === 'ms' ? 0.001 : m[4] === 'm' ? 60 : 1)
			return v !== undefined && (m[2] === '>' ? v > limit : v < limit)
		}
		const parts = [r.exchange, r.market, r.symbol, r.word].map(p => p.toLowerCase())
		if (!word.includes('*')) return parts.some(p => p.includes(word))
		const like = new RegExp('^' + word.split('*').map(p => p.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*') + '$')
		return parts.some(p => like.test(p))
	})
}
