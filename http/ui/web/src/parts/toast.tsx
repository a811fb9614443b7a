import { signal } from '@preact/signals'
import { Refusal } from '../state/api'
import { tr } from '../state/words'
import { Icon } from './icon'

interface Toast { key: number; level: 'ok' | 'crit' | 'work'; title: string; text: string; times: number }

const shown = signal<Toast[]>([])
let keys = 0

/** Says what came of an act. Equal ones count, errors stay. */
export function toast(level: Toast['level'], title: string, text = '') {
	const same = shown.value.find(t => t.title === title && t.text === text)
	if (same) {
		shown.value = shown.value.map(t => (t === same ? { ...t, times: t.times + 1 } : t))
		return
	}
	const t = { key: ++keys, level, title, text, times: 1 }
	shown.value = [...shown.value, t].slice(-3)
	if (level !== 'crit') setTimeout(() => drop(t.key), 6000)
}

export function refused(title: string, e: unknown) {
	const text = e instanceof Refusal ? `${e.status || ''} ${e.message} ${e.requestId ? tr('Request', '请求') + ' ' + e.requestId : ''}` : String(e)
	toast('crit', title, text.trim())
}

function drop(key: number) { shown.value = shown.value.filter(t => t.key !== key) }

export function Toasts() {
	return (
		<div class="toasts" role="status" aria-live="polite">
			{shown.value.map(t => (
				<div class="toast" key={t.key}>
					<Icon name={t.level === 'ok' ? 'circle-check' : t.level === 'crit' ? 'octagon-x' : 'refresh-cw'} cls={'c-' + t.level} />
					<b>{t.title}{t.times > 1 && ` ×${t.times}`}</b>
					<button class="btn plain" aria-label={tr('Dismiss', '关闭')} onClick={() => drop(t.key)}><Icon name="x" size={14} /></button>
					{t.text && <p>{t.text}</p>}
				</div>
			))}
		</div>
	)
}
