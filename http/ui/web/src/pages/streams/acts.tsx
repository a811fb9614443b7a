import { useEffect, useState } from 'preact/hooks'
import { confirm } from '../../parts/confirm'
import { Icon } from '../../parts/icon'
import { refused, toast } from '../../parts/toast'
import { get, send } from '../../state/api'
import { count } from '../../state/format'
import { tr } from '../../state/words'
import type { Row } from './row'

interface Backfill { operation_id: string; state: string; records: number; gaps_found: number; gaps_healed: number; gaps_left: number; problem?: string }

/** What can be done to one stream: fetch what it misses, stop collecting it. */
export function StreamActs({ stream: s, open }: { stream: Row; open: number }) {
	const where = `${s.exchange}/${encodeURIComponent(s.symbol)}`
	const name = `${s.exchange} · ${s.market} · ${s.symbol}`
	const backfill = () => confirm({
		title: tr(`Fetch what ${s.symbol} misses?`, `回补 ${s.symbol} 的缺失数据？`),
		says: tr(`${count(open)} gaps are open, ${count(s.gaps_total)} in the ledger. The exchange is asked for them within a share of its rate limit; what is stored is not fetched again.`, `未补缺口 ${count(open)}，账本共 ${count(s.gaps_total)}。将在限额份额内向交易所请求；已入库的不会重复获取。`),
		act: tr('Backfill', '回补'),
		go: async () => {
			const { operation: o } = await send<{ operation: Backfill }>('POST', `collector/quality/${where}/backfill?market=${s.market}`, { gaps: true })
			void followed(o.operation_id, name)
			return tr(`Begun for ${name}`, `已开始：${name}`)
		},
	})
	const stop = () => confirm({
		title: tr(`Stop collecting ${s.symbol}?`, `停止采集 ${s.symbol}？`),
		says: tr(`All channels of ${name} end at once and stay so over a restart. What is stored stays; what comes meanwhile is missed.`, `${name} 的全部通道立即停止，重启后依然停止。已入库数据保留；期间的数据会缺失。`),
		act: tr('Unsubscribe', '取消订阅'), risk: true, name: s.symbol,
		go: async () => { await send('POST', `collector/exchanges/${s.exchange}/subscribe`, { action: 'unsubscribe', market: s.market, symbols: [s.symbol] }); return name },
	})
	return <><button class="btn" onClick={backfill}><Icon name="history" size={14} />{tr('Backfill…', '回补…')}</button><button class="btn risk" onClick={stop}>{tr('Unsubscribe…', '取消订阅…')}</button></>
}

/** Says what came of a backfill, once it is over. */
async function followed(id: string, name: string) {
	try {
		for (;;) {
			const o = await get<Backfill>(`collector/backfills/${encodeURIComponent(id)}?wait=10s`)
			if (o.state === 'queued' || o.state === 'running') continue
			if (o.state === 'succeeded') toast('ok', tr(`Backfill of ${name}`, `回补 ${name}`), tr(`${count(o.records)} records; ${count(o.gaps_healed)} of ${count(o.gaps_found)} gaps healed.`, `${count(o.records)} 条记录；已补缺口 ${count(o.gaps_healed)}/${count(o.gaps_found)}。`))
			else toast('crit', tr(`Backfill of ${name}: ${o.state}`, `回补 ${name}：${o.state}`), o.problem ?? '')
			return
		}
	} catch (e) { refused(tr(`Backfill of ${name}`, `回补 ${name}`), e) }
}

/** Collects more: a market and its symbols. */
export function Subscribe({ markets }: { markets: string[] }) {
	const [open, show] = useState(false)
	return <>
		<button class="btn far" onClick={() => show(!open)} aria-expanded={open}><Icon name="plus" size={14} />{tr('Subscribe…', '订阅…')}</button>
		{open && <Form markets={markets} close={() => show(false)} />}
	</>
}

function Form({ markets, close }: { markets: string[]; close: () => void }) {
	const [market, setMarket] = useState(markets[0] ?? '')
	const [symbols, setSymbols] = useState('')
	const [known, setKnown] = useState<{ symbol: string; market: string; collected: boolean }[]>([])
	const [exchange = '', kind = ''] = market.split(' ')
	useEffect(() => {
		const life = new AbortController()
		setKnown([])
		if (exchange) get<{ symbols: typeof known }>('collector/orderbook/symbols/' + exchange, life.signal).then(a => setKnown(a.symbols), () => { /* names are not completed then */ })
		return () => life.abort()
	}, [exchange])
	const list = symbols.split(/[\s,]+/).filter(Boolean)
	const go = async (e: Event) => {
		e.preventDefault()
		try {
			const a = await send<{ message: string; symbols: string[] }>('POST', `collector/exchanges/${exchange}/subscribe`, { action: 'subscribe', market: kind, symbols: list })
			toast('ok', tr('Subscribed', '已订阅'), a.message || a.symbols.join(', '))
			close()
		} catch (err) { refused(tr('The subscription was refused', '订阅被拒绝'), err) }
	}
	const more = known.filter(s => s.market === kind && !s.collected)
	return (
		<form class="sheet" onSubmit={go} onKeyDown={e => { if (e.key === 'Escape') { e.stopPropagation(); close() } }}>
			<label>{tr('Market', '市场')}<select class="text" value={market} onChange={e => setMarket(e.currentTarget.value)}>{markets.map(m => <option value={m}>{m.replace(' ', ' · ')}</option>)}</select></label>
			<label>{tr('Symbols, or patterns like *-USDT', '品种，或 *-USDT 之类的模式')}<input class="text" required autoFocus list="subscribable" value={symbols} onInput={e => setSymbols(e.currentTarget.value)} /></label>
			<datalist id="subscribable">{more.slice(0, 500).map(s => <option value={s.symbol} />)}</datalist>
			<p class="small dim">{tr(`${count(more.length)} listed symbols are not collected. It takes effect at once, and survives a restart.`, `${count(more.length)} 个上市品种未采集。立即生效，重启后保留。`)}</p>
			<div class="acts row"><span class="grow" /><button class="btn" type="button" onClick={close}>{tr('Leave it', '不操作')}</button><button class="btn main" type="submit" disabled={list.length === 0}>{tr(`Subscribe ${list.length || ''}`, `订阅 ${list.length || ''}`)}</button></div>
		</form>
	)
}
