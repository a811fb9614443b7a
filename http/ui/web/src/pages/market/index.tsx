import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon } from '../../parts/icon'
import { Tabs } from '../../parts/marks'
import { Card, Empty, Shown } from '../../parts/panel'
import { bookLevel, Status } from '../../parts/status'
import { follow, get } from '../../state/api'
import { twin } from '../../state/twin'
import { absent, clock, count, day, digits as cut, exact, places, price, rate, span } from '../../state/format'
import { frozen } from '../../state/live'
import { vast } from '../../state/media'
import { now, past, replayed } from '../../state/moment'
import { rising, theme } from '../../state/prefs'
import { useAsked, useResource, type Resource } from '../../state/resource'
import { href, param, set } from '../../state/route'
import { tr } from '../../state/words'
import type { OneQuality, Quality } from '../streams/quality'
import { Ladder, ladderRows, Depth, depthRows, type Book } from './book'
import { bookOf, storedTrades, until } from './replay'
import { Twin, TwinButton } from '../../parts/twin'
import type { Bar, CandleChart } from './charts'

interface Trade { id: string; price: string; amount: string; side: string; exchange_time_ns: number; receive_time_ns: number }
interface Ticker { last?: string; open?: string; high?: string; low?: string; volume?: string; quote_volume?: string; change?: string; change_percent?: string }
interface Candle { open_time_ns: number; open: string; high: string; low: string; close: string; volume: string }

export function Market({ banner }: { banner: ComponentChildren }) {
	const quality = useResource<Quality>('collector/quality?channels=false', 10_000)
	const streams = quality.data?.streams ?? []
	const first = streams.find(s => s.symbol === 'BTC-USDT') ?? streams[0]
	const exchange = param('exchange') || first?.exchange || '', market = param('market') || first?.market || '', symbol = param('symbol') || first?.symbol || ''
	const there = exchange && market && symbol
	return (
		<main id="main" tabIndex={-1}>
			{banner}
			{there ? <Instrument key={exchange + market + symbol} exchange={exchange} market={market} symbol={symbol} streams={streams} />
				: <Card><Shown of={quality} what={tr('The collector', '采集服务')}>{() => <Empty title={tr('Nothing is collected', '没有采集任何数据')} />}</Shown></Card>}
		</main>
	)
}

const at = (exchange: string, symbol: string) => `${encodeURIComponent(exchange)}/${encodeURIComponent(symbol)}`

async function newest<T>(kind: string, exchange: string, market: string, symbol: string, signal: AbortSignal): Promise<T | undefined> {
	const a = await get<{ data: T[] }>(`storage/query/${kind}/${at(exchange, symbol)}?market=${market}&limit=1&order=desc&decimals=string${until()}`, signal)
	return a.data[0]
}

interface Facts { ticker?: Ticker; mark?: { price: string }; index?: { price: string }; funding?: { rate: string; next_funding_time_ns?: number }; interest?: { amount?: string; open_interest?: string; value?: string } }

function Instrument({ exchange, market, symbol, streams }: { exchange: string; market: string; symbol: string; streams: Quality['streams'] }) {
	const where = at(exchange, symbol)
	const book = useAsked<Book>(`book ${exchange} ${market} ${symbol}`, s => bookOf(exchange, market, symbol, 400, s), 500)
	const derivative = market !== 'spot'
	const facts = useAsked<Facts>(`facts ${exchange} ${market} ${symbol}`, async s => {
		const [ticker, mark, index, funding, interest] = await Promise.allSettled([
			newest<Ticker>('ticker', exchange, market, symbol, s), ...(derivative ? [newest<{ price: string }>('mark_price', exchange, market, symbol, s), newest<{ price: string }>('index_price', exchange, market, symbol, s), newest<{ rate: string }>('funding', exchange, market, symbol, s), newest<{ amount: string }>('open_interest', exchange, market, symbol, s)] : []),
		])
		const value = <T,>(r: PromiseSettledResult<unknown> | undefined) => (r?.status === 'fulfilled' ? r.value as T : undefined)
		return { ticker: value<Ticker>(ticker), mark: value(mark), index: value(index), funding: value(funding), interest: value(interest) }
	}, 3000)
	const tape = useTape(exchange, market, symbol)
	const quality = useResource<OneQuality>(`collector/quality/${where}?market=${market}${past.value ? '&day=' + new Date(now.value).toISOString().slice(0, 10) : ''}`, 15_000)
	const markets = [...new Set(streams.map(s => s.exchange + ' ' + s.market))].sort()
	const symbols = streams.filter(s => s.exchange === exchange && s.market === market).map(s => s.symbol).sort()
	const last = tape.trades[0]
	const t = facts.data?.ticker
	const known = places(tape.trades.slice(0, 50).map(x => x.price))
	const up = t?.change ? !t.change.startsWith('-') : undefined
	const sign = up && Number(t?.change) ? '+' : ''
	const [level, word] = bookLevel(book.data?.state)
	const proof = quality.data?.channels.find(c => c.kind === 'book_delta')?.proof
	const fact = (label: string, v: ComponentChildren, cls = '') => <div><div class="label">{label}</div><div class={'nums value ' + cls}>{v}</div></div>
	const funding = facts.data?.funding
	const interest = facts.data?.interest
	return (
		<>
			<section class="card pad ticker" aria-label={tr('Instrument', '品种')}>
				<label class="choice"><span class="sr">{tr('Market', '市场')}</span><select value={exchange + ' ' + market} onChange={e => { const [x, m] = e.currentTarget.value.split(' '); set({ exchange: x, market: m, symbol: streams.find(s => s.exchange === x && s.market === m && s.symbol === symbol)?.symbol ?? streams.find(s => s.exchange === x && s.market === m)?.symbol }, 'push') }}>{markets.length === 0 && <option>{exchange + ' ' + market}</option>}{markets.map(m => <option value={m}>{m.replace(' ', ' · ')}</option>)}</select><Icon name="chevron-down" size={14} /></label>
				<label class="choice"><span class="sr">{tr('Symbol', '品种')}</span><select value={symbol} onChange={e => set({ exchange, market, symbol: e.currentTarget.value }, 'push')}>{symbols.length === 0 && <option>{symbol}</option>}{symbols.map(s => <option value={s}>{s}</option>)}</select><Icon name="chevron-down" size={14} /></label>
				<div class={'last nums ' + (last ? (last.side === 'buy' ? 'c-up' : 'c-down') : '')} data-last={last?.price}>{price(cut(last?.price ?? t?.last, known))}</div>
				{fact('24 h', t?.change ? <>{sign}{price(cut(t.change, known))} {t.change_percent && <>({sign}{price(Number(t.change_percent).toFixed(2))}{'\u202f'}%)</>}</> : absent, up === undefined ? '' : up ? 'c-up' : 'c-down')}
				{derivative && <>{fact(tr('Mark', '标记价'), price(facts.data?.mark?.price))}{fact(tr('Index', '指数'), price(facts.data?.index?.price))}
					{fact(funding?.next_funding_time_ns ? tr(`Funding in ${span(Math.max(0, Math.round(funding.next_funding_time_ns / 1e9 - now.value / 1000)))}`, `资金费率，${span(Math.max(0, Math.round(funding.next_funding_time_ns / 1e9 - now.value / 1000)))} 后`) : tr('Funding', '资金费率'), funding ? (Number(funding.rate) * 100).toFixed(4) + '\u202f%' : absent)}
					{fact(tr('Open interest', '持仓量'), interest ? count(Number(interest.amount ?? interest.open_interest ?? interest.value)) : absent)}</>}
				{fact(tr('Volume 24 h', '24 小时量'), t?.volume ? count(Number(t.volume)) : absent)}
				<span class="grow" />
				{fact(tr('Book', '订单簿'), <span class="row"><Status level={level} word={word} /><span class="dim">{span(book.data?.age)}</span></span>)}
				{fact(tr('Proof', '证明'), proof ?? absent)}
			</section>
			<div class="market">
				<div class="stack"><Candles exchange={exchange} market={market} symbol={symbol} quality={quality.data} />
					<div class="uneven"><Elsewhere exchange={exchange} market={market} symbol={symbol} streams={streams} own={book.data} /><Card title={tr('Depth', '深度')} hint="± 10 bp" end={<TwinButton />}><Shown of={book} what={tr('The book', '订单簿')}>{b => <Twin label={tr('Depth', '深度')} head={[tr('Side', '方向'), '#' + tr('Price', '价格'), '#' + tr('Sum', '累计')]} rows={() => depthRows(b)}><Depth book={b} /></Twin>}</Shown></Card></div></div>
				<div class="books"><Ladder of={book} symbol={symbol} />{vast.value && <Others exchange={exchange} market={market} symbol={symbol} streams={streams} />}</div>
				<Tape tape={tape} symbol={symbol} />
			</div>
		</>
	)
}

interface TapeState { trades: Trade[]; fault: string; rate: number }

function useTape(exchange: string, market: string, symbol: string): TapeState {
	const [tape, setTape] = useState<TapeState>({ trades: [], fault: '', rate: 0 })
	useEffect(() => {
		const life = new AbortController()
		let waiting: Trade[] = [], frame = 0, timer = 0
		const seen: number[] = []
		const show = () => {
			frame = 0
			if (frozen.peek()) return
			const more = waiting.reverse()
			waiting = []
			const begin = Date.now() - 10_000
			while (seen.length && seen[0]! < begin) seen.shift()
			setTape(s => ({ trades: [...more, ...s.trades].slice(0, 120), fault: '', rate: seen.length / 10 }))
		}
		const run = async () => {
			try {
				if (past.peek()) { setTape({ trades: await storedTrades<Trade>(exchange, market, symbol, life.signal), fault: '', rate: 0 }); return }
				const first = await get<{ trades: Trade[] }>(`collector/trades/${at(exchange, symbol)}?market=${market}&limit=60&decimals=string`, life.signal)
				setTape({ trades: first.trades, fault: '', rate: 0 })
				await follow(`collector/stream?kinds=trade&exchanges=${exchange}&markets=${market}&symbols=${encodeURIComponent(symbol)}`, life.signal, h => {
					const m = JSON.parse(h.data) as { type: string; data?: Trade }
					if (m.type !== 'record' || !m.data) return
					seen.push(Date.now())
					waiting.push(m.data)
					if (waiting.length > 200) waiting.shift()
					frame ||= requestAnimationFrame(show)
				})
			} catch (e) {
				if (life.signal.aborted) return
				setTape(s => ({ ...s, fault: e instanceof Error ? e.message : String(e) }))
				timer = setTimeout(run, 2000)
			}
		}
		void run()
		return () => { life.abort(); clearTimeout(timer); cancelAnimationFrame(frame) }
	}, [exchange, market, symbol, replayed.value && past.value ? replayed.value : 0])
	return tape
}

function Tape({ tape, symbol }: { tape: TapeState; symbol: string }) {
	const sizes = tape.trades.map(t => Number(t.amount)).sort((a, b) => a - b)
	const priceDigits = places(tape.trades.map(t => t.price)), amountDigits = places(tape.trades.map(t => t.amount))
	const large = sizes[Math.floor(sizes.length * 0.95)] ?? Infinity
	return (
		<Card title={tr('Trades', '成交')} hint={rate(tape.rate) + ' /s'}>
			{tape.fault && <div class="veil-line"><Icon name="timer-off" size={14} /> {tr(`Not following: ${tape.fault}`, `未跟踪：${tape.fault}`)}</div>}
			{tape.trades.length === 0 ? <Empty title={tr('No trades yet', '尚无成交')} /> : <div class="rungs tape"><div class="rung label"><span>{tr('Price', '价格')}</span><span class="num">{symbol.split('-')[0]}</span><span class="num">{tr('Time', '时间')}</span></div>
				{tape.trades.slice(0, 2 * ladderRows() + 3).map(t => <div key={t.id} data-trade={t.id} data-price={t.price} data-amount={t.amount} class={'rung' + (Number(t.amount) >= large ? ' large' : '')}><span class={'nums ' + (t.side === 'buy' ? 'c-up' : 'c-down')}><Icon name={t.side === 'buy' ? 'arrow-up' : 'arrow-down'} size={10} label={t.side === 'buy' ? tr('bought', '买入') : tr('sold', '卖出')} /> {price(cut(t.price, priceDigits))}</span><span class="num">{cut(t.amount, amountDigits)}</span><span class="num dim" title={exact((t.exchange_time_ns || t.receive_time_ns) / 1e6)}>{clock((t.exchange_time_ns || t.receive_time_ns) / 1e6)}</span></div>)}</div>}
		</Card>
	)
}

const intervals = ['1s', '1m', '5m', '15m', '1h', '4h', '1d'] as const
const seconds: Record<string, number> = { '1s': 1, '1m': 60, '5m': 300, '15m': 900, '1h': 3600, '4h': 14_400, '1d': 86_400 }

function Candles({ exchange, market, symbol, quality }: { exchange: string; market: string; symbol: string; quality: OneQuality | undefined }) {
	// A market that is watched for some minutes only has no picture in minutes: unless somebody chose, it begins with seconds.
	const [young, setYoung] = useState(false)
	const chosen = (intervals as readonly string[]).includes(param('interval'))
	const interval = chosen ? param('interval') : young ? '1s' : '1m'
	const candles: Resource<{ data: Candle[] }> = useResource(`storage/candles/${at(exchange, symbol)}?market=${market}&interval=${interval}&limit=300&decimals=string${until()}`, 2000)
	const box = useRef<HTMLDivElement>(null)
	const chart = useRef<CandleChart | null>(null)
	const [over, setOver] = useState<Bar | undefined>()
	const [moved, setMoved] = useState(0)
	const [fault, setFault] = useState('')
	const bars: Bar[] = (candles.data?.data ?? []).map(c => ({ time: Math.floor(c.open_time_ns / 1e9), open: Number(c.open), high: Number(c.high), low: Number(c.low), close: Number(c.close), volume: Number(c.volume) })).sort((a, b) => a.time - b.time).filter(b => !past.value || (b.time + seconds[interval]!) * 1000 <= replayed.value) // of a moment, those that were closed then
	const latest = useRef(bars)
	latest.current = bars
	const digits = candles.data?.data[0]?.close.split('.')[1]?.replace(/0+$/, '').length ?? 2
	useEffect(() => {
		let mine = true
		import('./charts').then(m => {
			if (!mine || !box.current) return
			chart.current = m.candleChart(box.current, interval === '1s')
			chart.current.set(latest.current, digits)
			chart.current.over(b => setOver(b))
			chart.current.moved(() => setMoved(n => n + 1))
		}, e => setFault(String(e)))
		return () => { mine = false; chart.current?.remove(); chart.current = null }
	}, [interval])
	useEffect(() => { chart.current?.set(bars, Math.max(digits, 1)) }, [candles.at])
	useEffect(() => { if (!chosen && interval === '1m' && bars.length > 0 && bars.length < 12 && !past.value) setYoung(true) }, [candles.at])
	useEffect(() => { chart.current?.paint() }, [theme.value, rising.value])
	const shown = over ?? bars.at(-1)
	const n = (v: number | undefined) => v === undefined ? absent : price(v.toFixed(Math.max(digits, 1)))
	const width = box.current?.clientWidth ?? 0
	const wide = bars.length > 1 ? (chart.current?.x(bars[1]!.time) ?? 0) - (chart.current?.x(bars[0]!.time) ?? 0) : 0
	const strip = moved >= 0 && chart.current && wide > 0 ? bars.map(b => ({ x: chart.current!.x(b.time), tone: toneOf(b.time, seconds[interval]!, quality) })).filter(s => s.x !== undefined && s.x > -wide && s.x < width) : []
	return (
		<Card title={tr('Candles', 'K 线')} end={<><span class="nums mid far ohlc" data-close={shown?.close}>O <b>{n(shown?.open)}</b> H <b>{n(shown?.high)}</b> L <b>{n(shown?.low)}</b> C <b class={shown && shown.close >= shown.open ? 'c-up' : 'c-down'}>{n(shown?.close)}</b></span><Tabs label={tr('Interval', '周期')} value={interval} of={intervals.map(i => [i, i] as const)} pick={v => set({ interval: v })} /><TwinButton /></>}>
			{twin() && <Twin label={tr('Candles', 'K 线')} head={[tr('Time', '时间'), '#O', '#H', '#L', '#C', '#' + tr('Volume', '成交量'), tr('Proof', '证明')]} rows={() => bars.toReversed().map(b => [day(b.time * 1000), n(b.open), n(b.high), n(b.low), n(b.close), count(b.volume), proofWord(toneOf(b.time, seconds[interval]!, quality))])}>{null}</Twin>}
			<div class="chart" hidden={twin()} role="img" aria-label={tr(`Candles of ${symbol}, ${interval}; the last closed at ${n(bars.at(-1)?.close)}`, `${symbol} ${interval} K 线，最新 ${n(bars.at(-1)?.close)}`)}><div ref={box} class="canvas" /></div>
			{(candles.data === undefined || fault || bars.length === 0) && <div class="overlay">{fault ? <Empty title={tr('The chart could not be fetched', '图表加载失败')}>{fault}</Empty> : <Shown of={candles} what={tr('Storage', '存储')}>{() => bars.length === 0 ? <Empty title={tr('No trades are stored yet', '尚无入库成交')} /> : null}</Shown>}</div>}
			<div class="proof" hidden={twin()} role="img" aria-label={tr('Proof of the candles above', '上方 K 线的完整性')}>{strip.map(s => <i class={'seg ' + s.tone} style={{ left: s.x! - wide / 2 + 'px', width: wide + 0.5 + 'px' }} />)}</div>
			<div class="pad row small wrap"><span class="legend grow"><span>{tr('Proof of each candle:', '每根 K 线的完整性：')}</span><span><i class="seg" />{tr('complete', '完整')}</span><span><i class="seg healed" />{tr('backfilled', '已回补')}</span><span><i class="seg gap" />{tr('gap', '缺口')}</span><span><i class="seg none" />{tr('not observed', '未观测')}</span></span><a href="https://www.tradingview.com/" target="_blank" rel="noopener noreferrer">Charts by TradingView <Icon name="external-link" size={12} /></a></div>
		</Card>
	)
}

const proofWord = (tone: string) => tone === 'gap' ? tr('gap', '缺口') : tone === 'healed' ? tr('backfilled', '已回补') : tone === 'none' ? tr('not observed', '未观测') : tr('complete', '完整')

/** Books of the same asset elsewhere, beside the one that is looked at: the widest screens have room for four. */
function Others({ exchange, market, symbol, streams }: { exchange: string; market: string; symbol: string; streams: Quality['streams'] }) {
	const asset = symbol.split('-')[0]
	const others = streams.filter(s => s.symbol.split('-')[0] === asset && !(s.exchange === exchange && s.market === market && s.symbol === symbol)).sort((a, b) => Number(b.market === market) - Number(a.market === market)).slice(0, 3)
	return <>{others.map(o => <Other key={o.exchange + o.market + o.symbol} exchange={o.exchange} market={o.market} symbol={o.symbol} />)}</>
}

function Other({ exchange, market, symbol }: { exchange: string; market: string; symbol: string }) {
	const book = useAsked<Book>(`book ${exchange} ${market} ${symbol}`, s => bookOf(exchange, market, symbol, 100, s), 1000)
	return <Ladder of={book} symbol={symbol} title={<a class="plain-link" href={href('market', { exchange, market, symbol })}>{exchange} <span class="dim">{market}</span> {symbol}</a>} />
}

/** What is proven of a candle's time: the worst of what the ledger says of trades then. */
function toneOf(time: number, length: number, q: OneQuality | undefined): string {
	if (!q || !q.from || new Date(q.from).getTime() / 1000 > time + length) return 'none'
	let tone = ''
	for (const g of q.gaps) {
		if (g.channel !== 'trade' || !g.from_time) continue
		const from = new Date(g.from_time).getTime() / 1000, to = g.to_time ? new Date(g.to_time).getTime() / 1000 : Infinity
		if (to < time || from > time + length) continue
		if (g.outcome !== 'healed') return 'gap'
		tone = 'healed'
	}
	return tone
}

function Elsewhere({ exchange, market, symbol, streams, own }: { exchange: string; market: string; symbol: string; streams: Quality['streams']; own: Book | undefined }) {
	const asset = symbol.split('-')[0]
	const others = streams.filter(s => s.symbol.split('-')[0] === asset).slice(0, 8)
	const key = others.map(o => o.exchange + o.market + o.symbol).join()
	const books = useAsked<{ exchange: string; market: string; symbol: string; book?: Book }[]>('elsewhere ' + key, s => Promise.all(others.map(async o => ({ exchange: o.exchange, market: o.market, symbol: o.symbol, book: await bookOf(o.exchange, o.market, o.symbol, 1, s).catch(() => undefined) }))), 2000)
	const mid = (b: Book | undefined) => b?.bids[0] && b.asks[0] ? (Number(b.bids[0].price) + Number(b.asks[0].price)) / 2 : undefined
	const mine = mid(own)
	return (
		<Card title={tr('Same asset elsewhere', '其他市场同资产')} hint={tr('basis in bp', '基差（bp）')}>
			{key === '' ? <Empty title={tr('Nowhere else', '没有其他市场')} /> : <Shown of={books} what={tr('The collector', '采集服务')}>{d => (
				<div class="scroll" tabIndex={0} role="region" aria-label={tr('Same asset elsewhere', '其他市场同资产')}><table class="t"><thead><tr><th>{tr('Market', '市场')}</th><th class="num">{tr('Mid', '中间价')}</th><th class="num">{tr('Basis', '基差')}</th><th class="num">{tr('Age', '年龄')}</th><th>{tr('Book', '订单簿')}</th></tr></thead>
					<tbody>{d.map(o => { const m = mid(o.book), basis = m !== undefined && mine ? (m / mine - 1) * 1e4 : undefined; const [level, word] = bookLevel(o.book?.state); const self = o.exchange === exchange && o.market === market && o.symbol === symbol
						return <tr aria-current={self ? 'true' : undefined}><td><a class="plain-link" href={href('market', { exchange: o.exchange, market: o.market, symbol: o.symbol })}>{o.exchange} <span class="dim">{o.market}</span></a></td><td class="num">{m === undefined ? absent : price(m.toFixed(o.book!.bids[0]!.price.split('.')[1]?.replace(/0+$/, '').length ?? 2))}</td><td class="num">{basis === undefined ? absent : (basis >= 0 ? '+' : '\u2212') + Math.abs(basis).toFixed(1)}</td><td class="num">{span(o.book?.age)}</td><td><Status level={level} word={word} /></td></tr> })}</tbody></table></div>
			)}</Shown>}
		</Card>
	)
}
