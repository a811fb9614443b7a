import { useState } from 'preact/hooks'
import { toast } from '../../parts/toast'
import { tr } from '../../state/words'
import { thresholdOf } from '../../state/threshold'
import { RuleTest } from '../rule_test'

const units: Record<string, number> = { s: 1, m: 60, h: 3600 }

function seconds(text: string): number {
	const m = /^(\d+)([smh])$/.exec(text)
	return m ? Number(m[1]) * units[m[2]!]! : 0
}

/** A rule made of an expression: named, tried on what was measured, and copied as YAML. */
export function AlertFrom({ expr }: { expr: string }) {
	const [name, setName] = useState('NewAlert')
	const [limit, setLimit] = useState('')
	const [lasting, setLasting] = useState('5m')
	const [severity, setSeverity] = useState('warning')
	const [summary, setSummary] = useState('')
	const has = thresholdOf(expr) !== undefined
	const full = has || limit === '' ? expr : `(${expr}) > ${limit}`
	const yaml = `- alert: ${name}\n  expr: ${JSON.stringify(full)}\n  for: ${lasting}\n  labels:\n    severity: ${severity}\n  annotations:\n    summary: ${JSON.stringify(summary || name)}\n`
	const copy = async () => {
		try { await navigator.clipboard.writeText(yaml); toast('ok', tr('Rule copied as YAML', '规则 YAML 已复制')) } catch { toast('crit', tr('The browser does not allow copying', '浏览器不允许复制')) }
	}
	return (
		<div class="pad alertfrom">
			<div class="stack">
				<label class="small dim">{tr('Name', '名称')}<input class="text" pattern="[A-Za-z_]\w*" value={name} onInput={e => setName(e.currentTarget.value)} /></label>
				{!has && <label class="small dim">{tr('Fires above', '高于此值触发')}<input class="text" inputMode="decimal" value={limit} onInput={e => setLimit(e.currentTarget.value)} /></label>}
				<div class="row"><label class="small dim grow">{tr('For', '持续')}<select class="text" value={lasting} onChange={e => setLasting(e.currentTarget.value)}>{['0s', '1m', '5m', '15m', '1h'].map(d => <option value={d}>{d}</option>)}</select></label><label class="small dim grow">{tr('Severity', '级别')}<select class="text" value={severity} onChange={e => setSeverity(e.currentTarget.value)}><option value="warning">{tr('Warning', '警告')}</option><option value="critical">{tr('Critical', '严重')}</option></select></label></div>
				<label class="small dim">{tr('Summary', '摘要')}<input class="text" value={summary} onInput={e => setSummary(e.currentTarget.value)} /></label>
				<RuleTest expr={full} duration={seconds(lasting)} inside />
			</div>
			<div class="stack"><pre class="text" tabIndex={0} data-rule>{yaml}</pre><div class="row"><span class="small dim grow">{tr('Put it into a file of monitoring.rules, or a Prometheus: both read it.', '放入 monitoring.rules 的文件或 Prometheus 均可。')}</span><button class="btn main" type="button" onClick={copy}>{tr('Copy YAML', '复制 YAML')}</button></div></div>
		</div>
	)
}
