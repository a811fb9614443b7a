import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { bind, copyLink } from '../state/keys'
import { param, set } from '../state/route'
import { tr } from '../state/words'
import { signal } from '@preact/signals'
import { Icon } from './icon'

/** Whether a drawer is open: the frame makes room. */
export const opened = signal(false)
let open = 0

/** The drawers beside a page: what is selected, and what was pinned before it. Where there
 * is room they stand side by side, else one above the other. */
export function Drawers({ children }: { children: (id: string, close: () => void) => ComponentChildren }) {
	const sel = param('sel'), pin = param('pin')
	if (!sel && !pin) return null
	return (
		<div class={'drawers' + (pin && sel && pin !== sel ? ' two' : '')}>
			{pin && <Slot key={pin}>{children(pin, () => set({ pin: undefined, sel: sel === pin ? undefined : sel }, 'push'))}</Slot>}
			{sel && sel !== pin && <Slot key={sel}>{children(sel, () => set({ sel: undefined }, 'push'))}</Slot>}
		</div>
	)
}

const Slot = ({ children }: { children: ComponentChildren }) => <>{children}</>

/** One of them. What has an id can be pinned: then another selection does not replace it. */
export function Drawer({ id, path, title, status, acts, close, children }: { id?: string; path?: string; title: string; status?: ComponentChildren; acts?: ComponentChildren; close: () => void; children: ComponentChildren }) {
	useEffect(() => {
		opened.value = ++open > 0
		return () => { opened.value = --open > 0 }
	}, [])
	useEffect(() => bind('Escape', close), [close])
	const pinned = id !== undefined && param('pin') === id
	const pin = () => set(pinned ? { pin: undefined, sel: param('sel') || id } : { pin: id }, 'push')
	return (
		<aside class="drawer" aria-label={title}>
			<div>
				<div class="row"><span class="grow clip small dim">{path}</span>
					{id !== undefined && <button class="btn plain far" aria-pressed={pinned} title={pinned ? tr('Let go', '取消固定') : tr('Pin: another selection opens beside it', '固定：再选其他项时并排打开')} aria-label={pinned ? tr('Let go', '取消固定') : tr('Pin', '固定')} onClick={pin}><Icon name={pinned ? 'pin-off' : 'pin'} size={14} cls={pinned ? 'c-accent' : ''} /></button>}
					<button class="btn plain far" title={tr('Copy a link (y)', '复制链接（y）')} aria-label={tr('Copy a link', '复制链接')} onClick={copyLink}><Icon name="link" size={14} /></button>
					<button class="btn plain" title={tr('Close (Esc)', '关闭（Esc）')} aria-label={tr('Close', '关闭')} onClick={close}><Icon name="x" /></button></div>
				<div class="row wrap"><h2>{title}</h2>{status}<span class="grow" />{acts}</div>
			</div>
			{children}
		</aside>
	)
}
