import { useState } from 'preact/hooks'
import { clock, minute } from '../state/format'

export interface Cell { /** in ms */ at: number; /** class of its colour */ tone: string; /** its value in words */ says: string }

/** Neighbours of one tone, as one. */
function runs(cells: Cell[]): { tone: string; n: number }[] {
	const out: { tone: string; n: number }[] = []
	for (const c of cells) {
		const last = out.at(-1)
		if (last?.tone === c.tone) last.n++
		else out.push({ tone: c.tone, n: 1 })
	}
	return out
}

/** A row of cells, one a minute or so; merged, neighbours of one tone are drawn as one. Under
 * the pointer, and with the arrow keys, it says time and value. */
export function HeatStrip({ cells, label, cls = '', seconds = false, merged = false }: { cells: Cell[]; label: string; cls?: string; seconds?: boolean; merged?: boolean }) {
	const [at, setAt] = useState(-1)
	const last = cells.length - 1
	const shown = cells[Math.min(at, last)]
	const time = (t: number) => (seconds ? clock(t) : minute(t))
	const told = cells[at < 0 ? last : Math.min(at, last)]
	const key = (e: KeyboardEvent) => {
		const here = at < 0 ? last : at
		const to = e.key === 'ArrowLeft' ? here - 1 : e.key === 'ArrowRight' ? here + 1 : e.key === 'Home' ? 0 : e.key === 'End' ? last : -2
		if (to === -2) return
		e.preventDefault()
		e.stopPropagation()
		setAt(Math.max(0, Math.min(last, to)))
	}
	const move = (e: PointerEvent) => {
		const box = (e.currentTarget as HTMLElement).getBoundingClientRect()
		setAt(Math.max(0, Math.min(last, Math.floor(((e.clientX - box.left) / box.width) * cells.length))))
	}
	if (!told) return <div class={'heat ' + cls} role="img" aria-label={label} />
	return (
		<div class="heat-box">
			<div class={'heat ' + cls} role="slider" tabIndex={0} aria-label={label} aria-valuemin={0} aria-valuemax={last} aria-valuenow={at < 0 ? last : Math.min(at, last)} aria-valuetext={`${time(told.at)} ${told.says}`} aria-readonly="true"
				onKeyDown={key} onPointerMove={move} onPointerLeave={() => setAt(-1)} onBlur={() => setAt(-1)}>
				{merged ? runs(cells).map(r => <i class={r.tone} style={{ gridColumn: 'span ' + r.n }} />) : cells.map((c, i) => <i class={c.tone + (i === at ? ' here' : '')} />)}
			</div>
			{merged && at >= 0 && <i class="heat-here" style={{ left: (Math.min(at, last) / cells.length) * 100 + '%', width: 100 / cells.length + '%' }} />}
			{shown && at >= 0 && <span class="heat-says nums" style={at > last / 2 ? { right: (1 - (at + 1) / cells.length) * 100 + '%' } : { left: (at / cells.length) * 100 + '%' }}><b>{time(shown.at)}</b> {shown.says}</span>}
		</div>
	)
}
