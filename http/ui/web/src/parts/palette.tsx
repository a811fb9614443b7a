import { signal } from '@preact/signals'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { get, send } from '../state/api'
import { bind, copyLink } from '../state/keys'
import { toggle } from '../state/moment'
import { theme } from '../state/prefs'
import { href, pages } from '../state/route'
import { toggleTwin } from '../state/twin'
import { tr } from '../state/words'
import { confirm } from './confirm'
import { Icon, type IconName } from './icon'
import { pageIcon, pageWord } from './shell'

export const paletteOpen = signal(false)

interface Place { icon: IconName; word: string; kind: string; url: string; run?: () => void }

/** At most so many streams, and so many actors, are asked for. */
const most = 30

/** Streams and actors that have all the words: the services look, however many there are. */
async function places(words: string, signal: AbortSignal): Promise<Place[]> {
	const asked = `limit=${most}&q=${encodeURIComponent(words)}`
	const [streams, tree] = await Promise.all([
		get<{ streams: { exchange: string; market: string; symbol: string }[] }>('collector/quality?channels=false&' + asked, signal).then(a => a.streams, () => []),
		get<{ actors: { id: string }[] }>('monitoring/actors/search?' + asked, signal).then(a => a.actors, () => []),
	])
	const found: Place[] = []
	for (const s of streams) {
		const word = `${s.exchange} · ${s.market} · ${s.symbol}`
		found.push({ icon: 'activity', word, kind: tr('Stream', '数据流'), url: href('streams', { sel: `${s.exchange}/${s.market}/${s.symbol}` }) })
		found.push({ icon: 'chart-candlestick', word, kind: tr('Market', '行情'), url: href('market', { exchange: s.exchange, market: s.market, symbol: s.symbol }) })
	}
	for (const a of tree) found.push({ icon: 'list-tree', word: a.id.replace(/^root\//, ''), kind: 'Actor', url: href('actors', { sel: a.id }) })
	// Acts come last: whoever types for a place finds the place first.
	for (const s of streams) found.push(act('refresh-cw', tr(`Resync book of ${s.exchange} · ${s.market} · ${s.symbol}…`, `重新同步 ${s.exchange} · ${s.market} · ${s.symbol} 订单簿…`), () => confirm({
		title: tr(`Fetch a new snapshot of ${s.symbol}?`, `重新获取 ${s.symbol} 快照？`), says: tr('The book is not live until the snapshot has come, usually less than 2 s. Trades are not touched.', '快照到达前（通常不到 2 秒）订单簿不是实时状态。成交不受影响。'), act: tr('Resync the book', '重新同步订单簿'),
		go: async () => { await send('POST', `collector/orderbook/${s.exchange}/${encodeURIComponent(s.symbol)}/refresh?market=${s.market}`); return `${s.exchange} · ${s.market} · ${s.symbol}` },
	})))
	for (const a of tree) if (a.id.includes('/')) found.push({ ...act('rotate-cw', tr(`Restart ${a.id.replace(/^root\//, '')}…`, `重启 ${a.id.replace(/^root\//, '')}…`), () => confirm({
		title: tr(`Restart ${a.id}?`, `重启 ${a.id}？`), says: tr('It stops and starts again, with everything below it. What waits in mailboxes is kept; streams fetch new snapshots.', '它及其下级将停止并重新启动。邮箱中的消息会保留；数据流会重新获取快照。'), act: tr('Restart', '重启'), reason: true,
		go: async reason => { await send('POST', `monitoring/actors/${encodeURIComponent(a.id)}/restart`, reason ? { reason } : {}); return a.id },
	})), url: href('actors', { sel: a.id }) })
	return found
}

const act = (icon: IconName, word: string, run: () => void): Place => ({ icon, word, kind: tr('Act', '操作'), url: '', run })

/** What can be done anywhere. */
const acts = (): Place[] => [
	act('pause', tr('Freeze the page, or go on', '冻结页面 / 继续'), toggle), act('table', tr('Show charts as tables, or back', '图表与表格切换'), toggleTwin),
	act('moon', tr('Dark or light', '深色 / 浅色'), () => { theme.value = theme.value === 'dark' ? 'light' : 'dark' }), act('link', tr('Copy a link to what is shown', '复制当前视图链接'), copyLink),
]

const verbs = ['resync', 'restart', 'book', 'stream', 'market', 'actor', '重新同步', '订单簿', '重启', '数据流', '行情', '操作']

export function Palette({ open }: { open: (url: string) => void }) {
	const box = useRef<HTMLDialogElement>(null)
	const [text, setText] = useState('')
	const [at, setAt] = useState(0)
	const [all, setAll] = useState<Place[]>([])
	useEffect(() => bind('palette', () => { paletteOpen.value = true }), [])
	useEffect(() => {
		if (!paletteOpen.value) return
		setText('')
		setAt(0)
		box.current?.showModal()
	}, [paletteOpen.value])
	// Words that say what to do are not in any name.
	const names = text.toLowerCase().split(/\s+/).filter(w => w && !verbs.some(v => v.startsWith(w))).join(' ')
	useEffect(() => {
		if (!paletteOpen.value || !text.trim()) { setAll([]); return }
		const life = new AbortController()
		const timer = setTimeout(() => { void places(names, life.signal).then(p => { if (!life.signal.aborted) setAll(p) }) }, 120) // while somebody types
		return () => { life.abort(); clearTimeout(timer) }
	}, [names, !text.trim(), paletteOpen.value])
	const found = useMemo(() => {
		const words = text.toLowerCase().split(/\s+/).filter(Boolean)
		const own: Place[] = pages.map(p => ({ icon: pageIcon[p], word: pageWord(p), kind: tr('Page', '页面'), url: href(p) }))
		return [...own, ...acts(), ...all].filter(p => words.every(w => (p.word + ' ' + p.kind + ' ' + p.url).toLowerCase().includes(w))).slice(0, 60)
	}, [text, all, paletteOpen.value])
	if (!paletteOpen.value) return null
	const close = () => { box.current?.close(); paletteOpen.value = false }
	const pick = (p: Place | undefined) => { if (!p) return; close(); if (p.run) { if (p.url) open(p.url); p.run() } else open(p.url) }
	const key = (e: KeyboardEvent) => {
		if (e.key === 'ArrowDown') setAt(Math.min(found.length - 1, at + 1))
		else if (e.key === 'ArrowUp') setAt(Math.max(0, at - 1))
		else if (e.key === 'Enter') pick(found[at])
		else return
		e.preventDefault()
	}
	return (
		<dialog class="palette" ref={box} onCancel={close} onClick={e => { if (e.target === box.current) close() }} aria-label={tr('Jump to anything', '跳转到…')}>
			<div class="ask"><Icon name="search" cls="dim" />
				<input role="combobox" aria-expanded="true" aria-controls="places" aria-activedescendant={found.length ? 'place-' + at : undefined} aria-label={tr('Jump to anything', '跳转到…')}
					placeholder={tr('Jump to anything', '跳转到…')} value={text} onInput={e => { setText(e.currentTarget.value); setAt(0) }} onKeyDown={key} autoFocus /><kbd>Esc</kbd></div>
			<ul id="places" role="listbox" aria-label={tr('Places', '位置')}>
				{found.map((p, i) => <li id={'place-' + i} role="option" aria-selected={i === at} onClick={() => pick(p)} onPointerMove={() => setAt(i)}><Icon name={p.icon} cls="dim" /><span class="clip">{p.word}</span><span>{p.kind}</span></li>)}
				{found.length === 0 && <li role="option" aria-selected="false"><span class="dim">{tr('Nothing of that name', '没有匹配项')}</span></li>}
			</ul>
		</dialog>
	)
}
