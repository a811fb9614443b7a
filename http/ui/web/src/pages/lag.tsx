import { tr } from '../state/words'

/** A lag in seconds as a cell of heat. */
export function lagCell(s: number | undefined): string {
	if (s === undefined || Number.isNaN(s)) return 'hn'
	return s < 0.1 ? 'h1' : s < 0.2 ? 'h2' : s < 0.4 ? 'h3' : s < 1 ? 'h4' : s < 5 ? 'hw' : 'hc'
}

export function LagLegend() {
	return <div class="legend"><span><i class="h1" />{'<'} 100</span><span><i class="h2" />200</span><span><i class="h3" />400</span><span><i class="h4" />{'<'} 1000 ms</span><span><i class="hw" />{tr('over a second', '超过 1 秒')}</span><span><i class="hc" />{tr('over 5 s', '超过 5 秒')}</span><span><i class="hn" />{tr('no data', '无数据')}</span></div>
}
