import { CandlestickSeries, ColorType, createChart, CrosshairMode, HistogramSeries, type IChartApi, type UTCTimestamp } from 'lightweight-charts'

export interface Bar { time: number; open: number; high: number; low: number; close: number; volume: number }

export interface CandleChart {
	set: (bars: Bar[], digits: number) => void
	paint: () => void
	/** Where a time is, in pixels from the left; undefined outside. */
	x: (time: number) => number | undefined
	moved: (f: () => void) => void
	over: (f: (bar: Bar | undefined) => void) => void
	remove: () => void
}

const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** Candles with volume below. The library's own link is shown beside the chart. */
export function candleChart(box: HTMLElement, seconds: boolean): CandleChart {
	const chart: IChartApi = createChart(box, { autoSize: true, layout: { attributionLogo: false, fontSize: 11, fontFamily: getComputedStyle(document.body).fontFamily }, crosshair: { mode: CrosshairMode.Normal }, rightPriceScale: { borderVisible: false }, timeScale: { borderVisible: false, timeVisible: true, secondsVisible: seconds, maxBarSpacing: 18 } })
	const candles = chart.addSeries(CandlestickSeries, {})
	const volume = chart.addSeries(HistogramSeries, { priceScaleId: 'volume', priceFormat: { type: 'volume' }, lastValueVisible: false, priceLineVisible: false })
	chart.priceScale('volume').applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } })
	candles.priceScale().applyOptions({ scaleMargins: { top: 0.06, bottom: 0.24 } })
	let bars: Bar[] = []
	let fitted = false
	const paint = () => {
		chart.applyOptions({ layout: { background: { type: ColorType.Solid, color: colour('--surface') }, textColor: colour('--text-3') }, grid: { vertLines: { color: colour('--line') }, horzLines: { color: colour('--line') } } })
		// Rising is hollow, falling is filled: they differ without colour too.
		candles.applyOptions({ upColor: colour('--surface'), downColor: colour('--down'), borderUpColor: colour('--up'), borderDownColor: colour('--down'), wickUpColor: colour('--up'), wickDownColor: colour('--down') })
		show()
	}
	const show = () => volume.setData(bars.map(b => ({ time: b.time as UTCTimestamp, value: b.volume, color: colour(b.close >= b.open ? '--up' : '--down') + '66' })))
	paint()
	return {
		set(next, digits) {
			bars = next
			candles.applyOptions({ priceFormat: { type: 'price', precision: digits, minMove: 10 ** -digits } })
			candles.setData(bars.map(b => ({ ...b, time: b.time as UTCTimestamp })))
			show()
			if (!fitted && bars.length) { chart.timeScale().fitContent(); fitted = true }
		},
		paint,
		x: time => chart.timeScale().timeToCoordinate(time as UTCTimestamp) ?? undefined,
		moved: f => chart.timeScale().subscribeVisibleTimeRangeChange(f),
		over: f => chart.subscribeCrosshairMove(p => f(p.time === undefined ? undefined : bars.find(b => b.time === p.time))),
		remove: () => chart.remove(),
	}
}
