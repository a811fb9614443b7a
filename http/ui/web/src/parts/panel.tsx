import type { ComponentChildren } from 'preact'
import { span } from '../state/format'
import { now } from '../state/live'
import { past } from '../state/moment'
import type { Resource } from '../state/resource'
import { tr } from '../state/words'
import { Icon } from './icon'

/** A card; what it shows has no history where undated says so. */
export function Card({ title, hint, end, children, cls, undated }: { title?: ComponentChildren; hint?: ComponentChildren; end?: ComponentChildren; children: ComponentChildren; cls?: string; undated?: boolean }) {
	return (
		<section class={'card ' + (cls ?? '')}>
			{title !== undefined && <header><h2>{title}</h2>{hint !== undefined && <span class="hint">{hint}</span>}{end !== undefined && <span class="end">{end}</span>}</header>}
			{undated && past.value && <div class="veil-line"><Icon name="timer-off" size={14} /> {tr('This has no history: it is as the page found it when it was opened.', '此处没有历史：显示的是打开页面时的情况。')}</div>}
			{children}
		</section>
	)
}

/** Nothing to show, and what that means. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
	return <div class="state"><Icon name="inbox" cls="dim" /><b>{title}</b>{children && <span>{children}</span>}</div>
}

function Loading({ asked }: { asked: number }) {
	const waited = asked ? (now.value - asked) / 1000 : 0
	if (waited < 0.3) return <div class="state" aria-busy="true" />
	return <div class="bones" aria-busy="true"><i /><i /><i />{waited > 2 && <span class="dim small">{tr(`Waiting for an answer, ${span(Math.round(waited))}`, `等待应答，已 ${span(Math.round(waited))}`)}</span>}</div>
}

function Failed({ what, of }: { what: string; of: Resource<unknown> }) {
	const wait = Math.max(0, Math.ceil((of.next - now.value) / 1000))
	const status = of.status ? of.status + ': ' : ''
	return (
		<div class="state" role="alert">
			<Icon name="octagon-x" cls="c-crit" />
			<b>{of.status === 403 ? tr('This is not for your role', '您的角色无权查看') : tr(`${what} did not answer`, `${what}没有应答`)}</b>
			<span>{status}{of.error}</span>
			{of.next > 0 && <><span class="dim">{tr(`Next try in ${wait} s.`, `${wait} 秒后重试。`)}</span><button class="btn linkish" onClick={of.retry}>{tr('Try now', '立即重试')}</button></>}
			{of.next === 0 && <span class="dim">{tr('It is asked again every second.', '每秒重试。')}</span>}
		</div>
	)
}

/** A panel's four states around what it shows: waiting, failed, old, and the thing itself. */
export function Shown<T>({ of, what, children, oldAfter = 15 }: { of: Resource<T>; what: string; children: (data: T) => ComponentChildren; oldAfter?: number }) {
	if (of.data === undefined) return of.error === undefined ? <Loading asked={of.asked} /> : <Failed what={what} of={of} />
	const age = (now.value - of.at) / 1000
	if (of.error !== undefined && age > oldAfter) {
		return (
			<div class="old">
				<div class="veil"><Icon name="timer-off" size={14} />{tr(`Last seen ${span(Math.round(age))} ago: ${of.error}`, `${span(Math.round(age))} 前的数据：${of.error}`)}<button class="btn linkish" onClick={of.retry}>{tr('Try now', '立即重试')}</button></div>
				<div class="aged">{children(of.data)}</div>
			</div>
		)
	}
	return <>{children(of.data)}</>
}
