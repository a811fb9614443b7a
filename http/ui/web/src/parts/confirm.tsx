import { signal } from '@preact/signals'
import { useEffect, useRef, useState } from 'preact/hooks'
import { tr } from '../state/words'
import { Icon } from './icon'
import { refused, toast } from './toast'

interface Question {
	title: string
	/** The consequence, in numbers. */
	says: string
	/** Names the act. */
	act: string
	risk?: boolean
	/** To be typed first. */
	name?: string
	/** Asks for a reason, which the audit log keeps. */
	reason?: boolean
	/** Does it; what it returns is told. */
	go: (reason: string) => Promise<string>
}

const asked = signal<Question | null>(null)

export function confirm(q: Question) { asked.value = q }

export function Confirm() {
	const q = asked.value
	const box = useRef<HTMLDialogElement>(null)
	const safe = useRef<HTMLButtonElement>(null)
	const [reason, setReason] = useState('')
	const [typed, setTyped] = useState('')
	const [busy, setBusy] = useState(false)
	useEffect(() => {
		if (!q) return
		setReason('')
		setTyped('')
		box.current?.showModal()
		safe.current?.focus()
	}, [q])
	if (!q) return null
	const close = () => { box.current?.close(); asked.value = null }
	const act = async () => {
		setBusy(true)
		try {
			toast('ok', q.act.replace(/…$/, ''), await q.go(reason))
		} catch (e) {
			refused(tr(`Refused: ${q.act}`, `被拒绝：${q.act}`), e)
		}
		setBusy(false)
		close()
	}
	return (
		<dialog ref={box} onCancel={close} aria-labelledby="confirm-title">
			<h2 id="confirm-title"><Icon name="triangle-alert" cls="c-warn" />{q.title}</h2>
			<p class="mid">{q.says}</p>
			<div class="form">
				{q.reason && <label>{tr('Reason, kept in the audit log', '原因（记入审计日志）')}<input class="text" value={reason} onInput={e => setReason(e.currentTarget.value)} /></label>}
				{q.name && <label>{tr(`Type ${q.name} to go on`, `输入 ${q.name} 以继续`)}<input class="text" value={typed} onInput={e => setTyped(e.currentTarget.value)} /></label>}
			</div>
			<div class="acts">
				<button class="btn" ref={safe} onClick={close}>{tr('Leave it', '不操作')} <kbd>Esc</kbd></button>
				<button class={'btn ' + (q.risk ? 'risk full' : 'main')} disabled={busy || (!!q.name && typed !== q.name)} onClick={act}>{q.act}</button>
			</div>
		</dialog>
	)
}
