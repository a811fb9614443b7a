import type { ComponentChildren } from 'preact'
import { tr } from '../state/words'
import { toggleTwin, twin } from '../state/twin'
import { Icon } from './icon'

/** A chart, or the table that it is drawn of: what a picture says can be read too. */
export function Twin({ label, head, rows, children }: { label: string; /** A heading that begins with # is of numbers. */ head: string[]; rows: () => ComponentChildren[][]; children: ComponentChildren }) {
	if (!twin()) return <>{children}</>
	const all = rows()
	const num = head.map(h => h.startsWith('#'))
	return (
		<div class="scroll twin" tabIndex={0} role="region" aria-label={label} data-twin>
			<table class="t"><caption class="sr">{label}</caption><thead><tr>{head.map((h, i) => <th class={num[i] ? 'num' : ''}>{h.replace(/^#/, '')}</th>)}</tr></thead>
				<tbody>{all.slice(0, 400).map(r => <tr>{r.map((c, i) => <td class={num[i] ? 'num' : ''}>{c}</td>)}</tr>)}</tbody></table>
			{all.length > 400 && <p class="pad small dim">{tr(`${all.length - 400} more rows are not listed.`, `另有 ${all.length - 400} 行未列出。`)}</p>}
		</div>
	)
}

/** Shows charts as tables, and back. */
export function TwinButton() {
	const on = twin()
	const word = on ? tr('Show charts', '显示图表') : tr('Show as tables', '以表格显示')
	return <button class="btn plain" aria-pressed={on} title={word + ' (v)'} aria-label={word} onClick={toggleTwin}><Icon name={on ? 'chart-line' : 'table'} size={14} /></button>
}
