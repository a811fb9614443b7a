import type { ComponentChildren } from 'preact'
import { tr } from '../state/words'

/** A value against its limit, which stands at three quarters of the bar. */
export function Bullet({ value, limit, label }: { value: number | undefined; limit: number; label: string }) {
	const share = value === undefined ? 0 : Math.min(1, (value / limit) * 0.75)
	const over = value !== undefined && value > limit
	return <div class={'bullet' + (over ? ' warn' : '')} role="img" aria-label={label}><i style={{ width: `${share * 100}%` }} /><b /></div>
}

/** A small line without axes: up to 60 points, the newest at the right. */
export function Spark({ points, width = 46, height = 16, zero = true }: { points: readonly (number | undefined)[]; width?: number; height?: number; zero?: boolean }) {
	const known = points.filter((p): p is number => p !== undefined && Number.isFinite(p))
	if (known.length < 2) return <svg class="spark" width={width} height={height} aria-hidden="true" />
	const low = zero ? Math.min(0, ...known) : Math.min(...known)
	const high = Math.max(...known)
	const reach = high - low || 1
	const x = (i: number) => 1 + (i / (known.length - 1)) * (width - 4)
	const y = (v: number) => height - 1.5 - ((v - low) / reach) * (height - 3)
	const line = known.map((v, i) => `${i ? 'L' : 'M'}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join('')
	return (
		<svg class="spark" width={width} height={height} aria-hidden="true">
			<path class="under" d={`${line}L${x(known.length - 1)} ${height}L1 ${height}Z`} /><path d={line} />
			<circle cx={x(known.length - 1)} cy={y(known.at(-1)!)} r="1.6" />
		</svg>
	)
}

/** How much of a supervisor's luck is used. */
export function Pips({ left, of }: { left: number; of: number }) {
	const used = of - left
	const word = tr(`${left} of ${of} restarts left`, `剩余重启 ${left}/${of}`)
	if (of > 10) return <span class={used ? 'c-warn' : 'dim'}>{left}/{of}</span>
	return <span class={'pips' + (left <= 0 ? ' spent' : '')} role="img" aria-label={word} title={word}>{Array.from({ length: of }, (_, i) => <i class={i < used ? 'used' : ''} />)}</span>
}

export function Facts({ rows }: { rows: [ComponentChildren, ComponentChildren][] }) {
	return <dl class="facts">{rows.map(([k, v]) => <><dt>{k}</dt><dd class="nums">{v}</dd></>)}</dl>
}

/** Choosing one of several, as buttons. */
export function Tabs<T extends string>({ value, of, pick, label }: { value: T; of: readonly (readonly [T, ComponentChildren])[]; pick: (v: T) => void; label: string }) {
	return <div class="tabs" role="group" aria-label={label}>{of.map(([v, word]) => <button aria-pressed={v === value} onClick={() => pick(v)}>{word}</button>)}</div>
}
