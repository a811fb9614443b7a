import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { bind } from '../state/keys'
import { tr } from '../state/words'
import { signal } from '@preact/signals'
import { Icon } from './icon'

/** Whether a drawer is open: the frame makes room. */
export const opened = signal(false)

/** What is selected, beside the page. */
export function Drawer({ path, title, status, acts, close, children }: { path?: string; title: string; status?: ComponentChildren; acts?: ComponentChildren; close: () => void; children: ComponentChildren }) {
	useEffect(() => {
		opened.value = true
		const unbind = bind('Escape', close)
		return () => { opened.value = false; unbind() }
	}, [])
	return (
		<aside class="drawer" aria-label={title}>
			<div>
				<div class="row"><span class="grow clip small dim">{path}</span>
					<button class="btn plain" title={tr('Close (Esc)', '关闭（Esc）')} aria-label={tr('Close', '关闭')} onClick={close}><Icon name="x" /></button></div>
				<div class="row wrap"><h2>{title}</h2>{status}<span class="grow" />{acts}</div>
			</div>
			{children}
		</aside>
	)
}
