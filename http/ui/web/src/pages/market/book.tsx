import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { Icon } from '../../parts/icon'
import { Card, Shown } from '../../parts/panel'
import { bookLevel } from '../../parts/status'
import { absent, price, span } from '../../state/format'
import type { Resource } from '../../state/resource'
import { tr } from '../../state/words'

export interface Level { price: string; amount: string }
export interface Book { state: string; sequence: number; age: number; bid_levels: number; ask_levels: number; bids: Level[]; asks: Level[] }

interface Rung { price: string; amount: number; sum: number }

const places = (text: string | undefined) => text?.split('.')[1]?.replace(/0+$/, '').length ?? 0

/** Levels gathered into steps, outward from the middle, with what stands up to each. */
function rungs(levels: Level[], step: number, digits: number, bid: boolean, most: number): Rung[] {
	const out: Rung[] = []
	let sum = 0
	for (const l of levels) {
		const p = Number(l.price)
		const k = step ? (bid ? Math.floor(p / step + 1e-9) : Math.ceil(p / step - 1e-9)) * step : p
		const text = k.toFixed(digits)
		sum += Number(l.amount)
		const last = out.at(-1)
		if (last?.price === text) {
			last.amount += Number(l.amount)
			last.sum = sum
			continue
		}
		if (out.length === most) break
		out.push({ price: text, amount: Number(l.amount), sum })
	}
	return out
}

/** How many rungs a side has: as many as a screen shows, between two bounds. */
export const ladderRows = () => Math.max(17, Math.min(32, Math.floor((innerHeight - 290) / 40)))

export function Ladder({ of, symbol, title }: { of: Resource<Book>; symbol: string; title?: ComponentChildren }) {
	const [factor, setFactor] = useState(1)
	const rows = ladderRows()
	const [base, quote] = symbol.split('-')
	const digits = Math.max(0, ...(of.data?.asks.slice(0, 20) ?? []).map(l => places(l.price)))
	const tick = 10 ** -digits
	const step = factor === 1 ? 0 : tick * factor
	const shownDigits = step ? Math.max(0, digits - Math.round(Math.log10(factor))) : digits
	const amountDigits = Math.min(5, Math.max(2, ...(of.data?.asks.slice(0, 20) ?? []).map(l => places(l.amount))))
	return (
		<Card title={title ?? tr('Book', '订单簿')} hint={of.data && tr(`${of.data.bid_levels + of.data.ask_levels} levels`, `${of.data.bid_levels + of.data.ask_levels} 档`)} end={!title && <label class="choice"><span>{tr('Step', '步长')}</span><select value={String(factor)} onChange={e => setFactor(Number(e.currentTarget.value))}>{[1, 10, 100, 1000].map(f => <option value={String(f)}>{(tick * f).toFixed(Math.max(0, digits - Math.round(Math.log10(f))))}</option>)}</select><Icon name="chevron-down" size={14} /></label>}>
			<Shown of={of} what={tr('The book', '订单簿')}>{b => {
				const asks = rungs(b.asks, step, shownDigits, false, rows), bids = rungs(b.bids, step, shownDigits, true, rows)
				const most = Math.max(asks.at(-1)?.sum ?? 0, bids.at(-1)?.sum ?? 0, 1e-12)
				const line = (r: Rung, side: 'up' | 'down') => <div class="rung bar-side"><i class={'sumbar ' + side} style={{ width: (r.sum / most) * 100 + '%' }} /><span class={'nums c-' + side}>{price(r.price)}</span><span class="num">{r.amount.toFixed(amountDigits)}</span><span class="num mid">{r.sum.toFixed(amountDigits > 3 ? 3 : amountDigits)}</span></div>
				const ask = Number(b.asks[0]?.price), bid = Number(b.bids[0]?.price)
				const spread = ask - bid
				const [level, word] = bookLevel(b.state)
				return (
					<div class={'rungs' + (b.state === 'live' || b.state === 'stored' ? '' : ' notlive')} data-state={b.state} data-bid={b.bids[0]?.price} data-ask={b.asks[0]?.price} data-seq={b.sequence}>
						<div class="rung label"><span>{tr('Price', '价格')} {quote}</span><span class="num">{base}</span><span class="num">{tr('Sum', '累计')}</span></div>
						{asks.toReversed().map(r => line(r, 'down'))}
						<div class="spread"><b class="nums">{Number.isFinite(ask) && Number.isFinite(bid) ? price(((ask + bid) / 2).toFixed(digits)) : absent}</b>{b.state === 'stored' ? <span class="c-stale small">{tr(`stored ${span(b.age)} before`, `此前 ${span(b.age)} 入库`)}</span> : b.state !== 'live' && <span class={'c-' + level}>{tr(`not live: ${word}`, `非实时：${word}`)}</span>}<span class="small mid nums">{Number.isFinite(spread) ? tr(`spread ${spread.toFixed(digits)} · ${((spread / bid) * 1e4).toFixed(2)} bp`, `价差 ${spread.toFixed(digits)} · ${((spread / bid) * 1e4).toFixed(2)} bp`) : ''}</span></div>
						{bids.map(r => line(r, 'up'))}
					</div>
				)
			}}</Shown>
		</Card>
	)
}

/** The same as rows: what stands up to each price. */
export function depthRows(b: Book): ComponentChildren[][] {
	const mid = (Number(b.asks[0]?.price) + Number(b.bids[0]?.price)) / 2, reach = mid * 0.001
	const side = (levels: Level[], word: string) => { let sum = 0; return levels.filter(l => Math.abs(Number(l.price) - mid) <= reach).map(l => [word, price(l.price), (sum += Number(l.amount)).toFixed(4)]) }
	return [...side(b.asks, tr('ask', '卖')).toReversed(), ...side(b.bids, tr('bid', '买'))]
}

/** What can be bought and sold within ten basis points of the middle. */
export function Depth({ book: b }: { book: Book }) {
	const ask = Number(b.asks[0]?.price), bid = Number(b.bids[0]?.price)
	if (!Number.isFinite(ask) || !Number.isFinite(bid)) return <div class="state">{tr('One side of the book is empty.', '订单簿一侧为空。')}</div>
	const mid = (ask + bid) / 2, reach = mid * 0.001
	const walk = (levels: Level[]) => {
		let sum = 0
		const out: [number, number][] = []
		for (const l of levels) {
			const p = Number(l.price)
			if (Math.abs(p - mid) > reach) break
			out.push([p, sum])
			sum += Number(l.amount)
			out.push([p, sum])
		}
		return { out, sum }
	}
	const up = walk(b.bids), down = walk(b.asks)
	const high = Math.max(up.sum, down.sum, 1e-12)
	const x = (p: number) => (((p - mid) / reach + 1) / 2) * 400
	const y = (s: number) => 150 - (s / high) * 140
	const path = (points: [number, number][], edge: number) => points.length ? `M${x(points[0]![0])} 150` + points.map(([p, s]) => `L${x(p).toFixed(1)} ${y(s).toFixed(1)}`).join('') + `L${edge} ${y(points.at(-1)![1]).toFixed(1)}L${edge} 150Z` : ''
	const word = tr(`bid ${up.sum.toFixed(2)} · ask ${down.sum.toFixed(2)}`, `买 ${up.sum.toFixed(2)} · 卖 ${down.sum.toFixed(2)}`)
	const digits = Math.max(places(b.asks[0]?.price), 0)
	return <div class="pad"><div class="small mid nums">{word}</div><svg class="depth" viewBox="0 0 400 150" preserveAspectRatio="none" role="img" aria-label={word}><path class="up" d={path(up.out, 0)} /><path class="down" d={path(down.out, 400)} /><line x1="200" x2="200" y1="0" y2="150" /></svg><div class="row label ticks nums"><span>{price((mid - reach).toFixed(digits))}</span><span>{price(mid.toFixed(digits))}</span><span>{price((mid + reach).toFixed(digits))}</span></div></div>
}
