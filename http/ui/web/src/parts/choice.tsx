import { Icon } from './icon'
import { param, set } from '../state/route'

/** A choice that the URL holds; the first one is the default and not written there. */
export function Choice({ name, label, of, cls }: { name: string; label: string; of: readonly (readonly [string, string])[]; cls?: string }) {
	return (
		<label class={'choice ' + (cls ?? '')}><span>{label}</span>
			<select value={param(name)} onChange={e => set({ [name]: e.currentTarget.value })}>{of.map(([v, word]) => <option value={v}>{word}</option>)}</select>
			<Icon name="chevron-down" size={14} />
		</label>
	)
}

/** A filter that the URL holds. */
export function Filter({ name = 'q', hint, width = 200 }: { name?: string; hint: string; width?: number }) {
	return (
		<div class="field" style={{ width: width + 'px', maxWidth: '100%' }}><Icon name="search" size={14} cls="dim" />
			<input data-filter aria-label={hint} placeholder={hint} value={param(name)} onInput={e => set({ [name]: e.currentTarget.value })}
				onKeyDown={e => { if (e.key === 'Escape') e.currentTarget.blur() }} /><kbd aria-hidden="true">/</kbd>
		</div>
	)
}
