import { get } from '../../state/api'
import { past, replayed } from '../../state/moment'
import type { Book, Level } from './book'

/** The market as it was: of what is stored, at the moment that the page is frozen at. */

const place = (exchange: string, symbol: string) => `${encodeURIComponent(exchange)}/${encodeURIComponent(symbol)}`

/** What a question to storage ends with, so that nothing after the moment is answered. */
export const until = () => past.value ? '&to=' + encodeURIComponent(new Date(replayed.value + 1).toISOString()) : ''

interface Snapshot { seq: number; exchange_time_ns: number; receive_time_ns: number; bids: [string, string][]; asks: [string, string][] }

const levels = (list: [string, string][]): Level[] => list.map(([price, amount]) => ({ price, amount }))

/** The newest stored snapshot of a book that is not younger than the moment, with its age
 * then; for ten minutes before it. */
export async function storedBook(exchange: string, market: string, symbol: string, signal: AbortSignal): Promise<Book> {
	const at = replayed.peek()
	const from = new Date(at - 600_000).toISOString()
	const a = await get<{ data: Snapshot[] }>(`storage/query/book_snapshot/${place(exchange, symbol)}?market=${market}&from=${encodeURIComponent(from)}&limit=1&order=desc&decimals=string${until()}`, signal)
	const s = a.data[0]
	if (!s) return { state: 'none', sequence: 0, age: NaN, bid_levels: 0, ask_levels: 0, bids: [], asks: [] }
	return { state: 'stored', sequence: s.seq, age: (at - (s.exchange_time_ns || s.receive_time_ns) / 1e6) / 1000, bid_levels: s.bids.length, ask_levels: s.asks.length, bids: levels(s.bids), asks: levels(s.asks) }
}

/** The book of an instrument: live, or as it was. */
export function bookOf(exchange: string, market: string, symbol: string, depth: number, signal: AbortSignal): Promise<Book> {
	return past.peek() ? storedBook(exchange, market, symbol, signal) : get<Book>(`collector/orderbook/${place(exchange, symbol)}?market=${market}&depth=${depth}&decimals=string`, signal)
}

/** The last trades before the moment, newest first. */
export async function storedTrades<T>(exchange: string, market: string, symbol: string, signal: AbortSignal): Promise<T[]> {
	return (await get<{ data: T[] }>(`storage/query/trade/${place(exchange, symbol)}?market=${market}&limit=100&order=desc&decimals=string${until()}`, signal)).data
}
