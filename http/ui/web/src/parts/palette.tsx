import { signal } from '@preact/signals'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { get } from '../state/api'
import { bind } from '../state/keys'
import { href, pages } from '../state/route'
import { tr } from '../state/words'
import { Icon, type IconName } from './icon'
import { pageIcon, pageWord } from './shell'

export const paletteOpen = signal(false)

interface Place { icon: IconName; word: string; kind: string; url: string }

/** Everything that can be jumped to: pages, streams, actors. */
async function places(): Promise<Place[]> {
	const found: Place[] = []
	const [streams, tree] = await Promise.allSettled([
		get<{ streams: { exchange: string; market: string; symbol: string }[] }>('collector/quality'),
		get<{ actors: { id: string }[] }>('monitoring/actors/tree'),
	])
	if (streams.status === 'fulfilled') {
		for (const s of streams.value.streams) {
			const word = `${s.exchange} · ${s.market} · ${s.symbol}`
			const at = { exchange: s.exchange, market: s.market, symbol: s.symbol }
			found.push({ icon: 'activity', word, kind: tr('Stream', '数据流'), url: href('streams', { sel: `${s.exchange}/${s.market}/${s.symbol}` }) })
			found.push({ icon: 'chart-candlestick', word, kind: tr('Market', '行情'), url: href('market', at) })
		}
	}
	if (tree.status === 'fulfilled')
		for (const a of tree.value.actors) found.push({ icon: 'list-tree', word: a.id.replace(/^root\//, ''), kind: 'Actor', url: href('actors', { sel: a.id }) })
	return found
}

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
		let mine = true
		void places().then(p => { if (mine) setAll(p) })
		return () => { mine = false }
	}, [paletteOpen.value])
	const found = useMemo(() => {
		const words = text.toLowerCase().split(/\s+/).filter(Boolean)
		const own: Place[] = pages.map(p => ({ icon: pageIcon[p], word: pageWord(p), kind: tr('Page', '页面'), url: href(p) }))
		return [...own, ...all].filter(p => words.every(w => (p.word + ' ' + p.kind + ' ' + p.url).toLowerCase().includes(w))).slice(0, 60)
	}, [text, all, paletteOpen.value])
	if (!paletteOpen.value) return null
	const close = () => { box.current?.close(); paletteOpen.value = false }
	const pick = (p: Place | undefined) => { if (p) { close(); open(p.url) } }
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
