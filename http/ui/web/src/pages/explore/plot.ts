import uPlot from 'uplot'
import type { Series } from '../../state/promql'
import { clock, day } from '../../state/format'

const colours = ['--lag-1', '--lag-2', '--lag-3', '--heat-warn', '--up', '--down', '--accent', '--stale']
const value = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

export interface Plot { remove: () => void; resize: (w: number) => void }

/** Lines over time, one cursor for all plots of the page; marks (restarts) and gaps are vertical. */
export function plot(box: HTMLElement, from: number, to: number, series: Series[], names: string[], marks: number[], gaps: number[], zoom: (from: number, to: number) => void): Plot {
	const times = [...new Set(series.flatMap(s => s.points.map(p => p[0])))].sort((a, b) => a - b)
	const at = new Map(times.map((t, i) => [t, i]))
	const data: (number | null)[][] = series.map(s => {
		const row: (number | null)[] = new Array(times.length).fill(null)
		for (const [t, v] of s.points) row[at.get(t)!] = Number.isFinite(v) ? v : null
		return row
	})
	const axis = { stroke: value('--text-3'), grid: { stroke: value('--line'), width: 1 }, ticks: { stroke: value('--line') }, font: '11px ' + getComputedStyle(document.body).fontFamily }
	const chart = new uPlot({
		width: box.clientWidth, height: 260, cursor: { sync: { key: 'explore' }, drag: { x: true, setScale: false } }, legend: { show: false },
		scales: { x: { time: true, range: () => [from, to] } },
		axes: [{ ...axis, values: (_, ticks) => ticks.map(t => (times.length && times.at(-1)! - times[0]! > 86_400 ? day(t * 1000) : clock(t * 1000))) }, { ...axis, size: 64 }],
		series: [{}, ...series.map((_, i) => ({ label: names[i], stroke: value(colours[i % colours.length]!), width: 1.5, spanGaps: false, points: { show: false } }))],
		hooks: {
			setSelect: [u => { if (u.select.width > 4) zoom(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x')) }],
			draw: [u => {
				u.ctx.save()
				for (const [colour, dash, at] of [['--work', [3, 3], marks], ['--heat-crit', [1, 3], gaps]] as [string, number[], number[]][]) for (const m of at) {
					u.ctx.strokeStyle = value(colour)
					u.ctx.setLineDash(dash)
					const x = Math.round(u.valToPos(m, 'x', true))
					if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue
					u.ctx.beginPath()
					u.ctx.moveTo(x, u.bbox.top)
					u.ctx.lineTo(x, u.bbox.top + u.bbox.height)
					u.ctx.stroke()
				}
				u.ctx.restore()
			}],
		},
	}, [times, ...data] as uPlot.AlignedData, box)
	return { remove: () => chart.destroy(), resize: w => chart.setSize({ width: w, height: 260 }) }
}

