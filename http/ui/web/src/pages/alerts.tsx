import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { Filter } from '../parts/choice'
import { confirm } from '../parts/confirm'
import { Drawer, Drawers } from '../parts/drawer'
import { RuleTest } from './rule_test'
import { Icon } from '../parts/icon'
import { Facts, Spark, Tabs } from '../parts/marks'
import { Card, Empty, Shown } from '../parts/panel'
import { Status } from '../parts/status'
import { refused, toast } from '../parts/toast'
import { absent, clock, count, day, exact, since, span } from '../state/format'
import { send } from '../state/api'
import { now } from '../state/moment'
import { range } from '../state/promql'
import { useAsked, useResource, type Resource } from '../state/resource'
import { thresholdOf } from '../state/threshold'
import { href, param, set } from '../state/route'
import { plural, tr } from '../state/words'

interface Alert { rule_id: string; rule_name: string; description: string; severity: 'warning' | 'critical'; start_time: string; value: number; labels: Record<string, string>; runbook_url: string; fingerprint: string; group: string; silenced_by?: string[]; inhibited_by?: string | null; receivers?: string[]; end_time?: string }
interface Alerts { active_alerts: Alert[]; alert_history: Alert[] }
interface Rule { name: string; query: string; type: string; state: string; health: string; lastError?: string; duration?: number; labels: Record<string, string>; annotations?: Record<string, string>; lastEvaluation: string; evaluationTime: number; alerts?: { state: string; activeAt: string; value: string; labels: Record<string, string>; annotations: Record<string, string> }[] }
interface Rules { data: { groups: { name: string; file: string; interval: number; rules: Rule[] }[] } }
interface Silence { id: string; state: string; matchers: { name: string; op: string; value: string }[]; starts_at: string; ends_at: string; created_by: string; comment: string }

const severity = (a: { severity?: string }) => a.severity === 'critical' ? <Status level="crit" word={tr('Critical', '严重')} /> : <Status level="warn" word={tr('Warning', '警告')} />

export function Alerts({ banner }: { banner: ComponentChildren }) {
	const alerts = useResource<Alerts>('monitoring/alerts?limit=300', 3000)
	const rules = useResource<Rules>('monitoring/rules', 5000)
	const silences = useResource<{ silences: Silence[] }>('monitoring/silences', 5000)
	const tab = param('tab') || 'alerts'
	const all = rules.data?.data.groups.flatMap(g => g.rules) ?? []
	return (
		<>
			<main id="main" tabIndex={-1}>
				{banner}
				<div class="filters"><Tabs label={tr('View', '视图')} value={tab} of={[['alerts', tr('Alerts', '告警')], ['rules', tr('Rules', '规则')], ['silences', tr('Silences', '静默')]] as const} pick={v => set({ tab: v === 'alerts' ? undefined : v }, 'push')} />
					{tab === 'rules' && <Filter hint={tr('Rule or expression', '规则或表达式')} />}
					<span class="end nums"><span>{tr(`${alerts.data?.active_alerts.length ?? absent} firing`, `触发 ${alerts.data?.active_alerts.length ?? absent}`)}</span><span>{tr(`${count(all.length)} rules`, `规则 ${count(all.length)}`)}</span></span></div>
				{tab === 'alerts' && <><Firing of={alerts} rules={all} /><Pending of={rules} /><Resolved of={alerts} /></>}
				{tab === 'rules' && <RuleList of={rules} q={param('q')} />}
				{tab === 'silences' && <Silences of={silences} />}
			</main>
			<Drawers>{(id, close) => <RuleDrawer name={id} close={close} rule={all.find(r => r.name === id)} active={alerts.data?.active_alerts.filter(a => a.rule_id === id) ?? []} past={alerts.data?.alert_history.filter(a => a.rule_id === id) ?? []} every={alerts.data?.active_alerts ?? []} />}</Drawers>
		</>
	)
}

const labelText = (l: Record<string, string>) => Object.entries(l).filter(([k]) => !['alertname', 'severity', '__name__'].includes(k)).map(([k, v]) => `${k}=${v}`).join(' ')

/** An alert's value over the last half hour, against what it is held against. */
function Value({ of: a, rule }: { of: Alert; rule: Rule | undefined }) {
	const parts = rule && thresholdOf(rule.query)
	const series = useAsked(parts ? `${parts.expr} ${a.fingerprint}` : '', s => range(parts!.expr, 1800, 60, s), 30_000)
	const mine = series.data?.find(s => Object.entries(s.labels).every(([k, v]) => k === '__name__' || a.labels[k] === v)) ?? series.data?.[0]
	const value = Number.isFinite(a.value) ? String(+a.value.toPrecision(4)) : absent
	return <span class="row valued">{mine && mine.points.length > 1 && <Spark points={mine.points.map(p => p[1])} />}<span>{value}{parts && <span class="dim"> {parts.op} {parts.limit}</span>}</span></span>
}

function Firing({ of, rules }: { of: Resource<Alerts>; rules: Rule[] }) {
	return (
		<Card title={tr('Firing', '触发中')} hint={tr('what to do now', '现在要处理的')} undated>
			<Shown of={of} what={tr('Alerts', '告警')}>{d => d.active_alerts.length === 0 ? <Empty title={tr('Nothing fires', '无触发告警')}>{tr('Every rule is evaluated every 5 s; the watchdog proves that they are.', '规则每 5 秒评估一次，由看门狗证明。')}</Empty>
				: <div class="scroll" tabIndex={0} role="region" aria-label={tr('Firing', '触发中')}><table class="t"><thead><tr><th>{tr('Severity', '级别')}</th><th>{tr('Rule', '规则')}</th><th>{tr('What', '内容')}</th><th class="far">{tr('Labels', '标签')}</th><th class="num">{tr('Value', '值')}</th><th class="num">{tr('Since', '持续')}</th><th class="far">{tr('Told to', '通知')}</th></tr></thead>
					<tbody>{d.active_alerts.map(a => (
						<tr key={a.fingerprint} class="pick" onClick={() => set({ sel: a.rule_id }, 'push')}><td>{a.silenced_by?.length ? <Status level="off" word={tr('Silenced', '已静默')} /> : a.inhibited_by ? <span title={tr(`by ${a.inhibited_by}`, `由 ${a.inhibited_by} 抑制`)}><Status level="off" word={tr(`Inhibited by ${a.inhibited_by}`, `被 ${a.inhibited_by} 抑制`)} /></span> : severity(a)}</td><td><a href={href('alerts', { sel: a.rule_id })}>{a.rule_id}</a></td><td class="fluid" title={a.description}>{a.rule_name}</td><td class="mono dim clip far">{labelText(a.labels)}</td><td class="num"><Value of={a} rule={rules.find(r => r.name === a.rule_id)} /></td><td class="num" title={exact(a.start_time)}>{span(Math.round(since(a.start_time, now.value)))}</td><td class="far">{a.receivers?.join(', ') || absent}</td></tr>
					))}</tbody></table></div>}</Shown>
		</Card>
	)
}

function Pending({ of }: { of: Resource<Rules> }) {
	const pending = of.data?.data.groups.flatMap(g => g.rules.flatMap(r => (r.alerts ?? []).filter(a => a.state === 'pending').map(a => ({ r, a })))) ?? []
	if (pending.length === 0) return null
	return (
		<Card title={tr('Pending', '待定')} hint={tr('true, but not for long enough yet', '条件成立，但持续时间不足')}>
			<ul class="alerts">{pending.map(({ r, a }) => {
				const left = Math.max(0, (r.duration ?? 0) - since(a.activeAt, now.value))
				return <li><div class="row"><Status level="off" word={tr('Pending', '待定')} /><a class="grow clip" href={href('alerts', { sel: r.name })}>{r.name}</a><span class="nums small dim">{tr(`fires in ${span(Math.round(left))}`, `${span(Math.round(left))} 后触发`)}</span></div><p class="small mid">{a.annotations.summary} <span class="mono dim">{labelText(a.labels)}</span></p></li>
			})}</ul>
		</Card>
	)
}

function Resolved({ of }: { of: Resource<Alerts> }) {
	return (
		<Card title={tr('Resolved', '已恢复')}>
			<Shown of={of} what={tr('Alerts', '告警')}>{d => d.alert_history.length === 0 ? <Empty title={tr('Nothing has fired', '没有触发过告警')} />
				: <ul class="happened">{d.alert_history.slice(0, 30).map(a => <li><span class="nums dim" title={exact(a.end_time)}>{day(a.end_time)}</span><Icon name="circle-check" size={14} cls="c-ok" /><a class="grow clip plain-link" href={href('alerts', { sel: a.rule_id })}><b>{a.rule_id}</b> {a.rule_name}</a><span class="num small mid">{a.end_time ? span(Math.round((new Date(a.end_time).getTime() - new Date(a.start_time).getTime()) / 1000)) : absent}</span></li>)}</ul>}</Shown>
		</Card>
	)
}

function RuleList({ of, q }: { of: Resource<Rules>; q: string }) {
	return (
		<Card title={tr('Rules', '规则')} hint={tr('the same files serve Prometheus', '同一组文件可供 Prometheus 使用')}>
			<Shown of={of} what={tr('Rules', '规则')}>{d => {
				const rows = d.data.groups.flatMap(g => g.rules.map(r => ({ g, r }))).filter(({ r }) => (r.name + r.query).toLowerCase().includes(q.toLowerCase()))
				if (rows.length === 0) return <Empty title={tr('No rule is like that', '没有匹配的规则')} />
				return (
					<div class="scroll" tabIndex={0} role="region" aria-label={tr('Rules', '规则')}><table class="t"><thead><tr><th>{tr('Rule', '规则')}</th><th>{tr('State', '状态')}</th><th>{tr('Expression', '表达式')}</th><th class="num far">{tr('For', '持续')}</th><th class="num far">{tr('Took', '耗时')}</th><th class="num far">{tr('Evaluated', '评估于')}</th></tr></thead>
						<tbody>{rows.map(({ g, r }) => <tr key={g.name + r.name} class="pick" onClick={() => set({ sel: r.name }, 'push')}><td><a href={href('alerts', { tab: 'rules', sel: r.name })}>{r.name}</a></td><td>{r.health !== 'ok' ? <Status level="crit" word={tr('Error', '错误')} /> : r.state === 'firing' ? (r.labels.severity === 'critical' ? severity({ severity: 'critical' }) : r.labels.severity === 'warning' ? severity({}) : <Status level="ok" word={tr('Firing', '触发')} />) : r.state === 'pending' ? <Status level="off" word={tr('Pending', '待定')} /> : <Status level="ok" word={tr('Quiet', '正常')} />}</td><td class="mono fluid dim" title={r.query}>{r.query}</td><td class="num far">{r.duration ? span(r.duration) : absent}</td><td class="num far">{span(r.evaluationTime)}</td><td class="num far dim">{clock(r.lastEvaluation)}</td></tr>)}</tbody></table></div>
				)
			}}</Shown>
		</Card>
	)
}

function Silences({ of }: { of: Resource<{ silences: Silence[] }> }) {
	const end = (s: Silence) => confirm({ title: tr('End this silence?', '结束此静默？'), says: tr('Alerts that it mutes are told of again at once.', '被它静默的告警会立即恢复通知。'), act: tr('End the silence', '结束静默'), go: async () => { await send('DELETE', 'monitoring/silences/' + encodeURIComponent(s.id)); of.retry(); return s.comment } })
	return (
		<Card title={tr('Silences', '静默')}>
			<Shown of={of} what={tr('Silences', '静默')}>{d => d.silences.length === 0 ? <Empty title={tr('Nothing is silenced', '没有静默')}>{tr('A silence is made from an alert or a rule.', '可从告警或规则创建静默。')}</Empty>
				: <table class="t"><thead><tr><th>{tr('State', '状态')}</th><th>{tr('Matches', '匹配')}</th><th>{tr('Why', '原因')}</th><th>{tr('By', '创建者')}</th><th class="num">{tr('Until', '直到')}</th><th /></tr></thead>
					<tbody>{d.silences.map(s => <tr key={s.id}><td><Status level={s.state === 'active' ? 'work' : 'off'} word={s.state === 'active' ? tr('Active', '生效中') : s.state === 'pending' ? tr('Pending', '待生效') : tr('Expired', '已过期')} /></td><td class="mono">{s.matchers.map(m => m.name + m.op + m.value).join(', ')}</td><td class="fluid" title={s.comment}>{s.comment}</td><td>{s.created_by}</td><td class="num" title={exact(s.ends_at)}>{day(s.ends_at)}</td><td class="num">{s.state !== 'expired' && <button class="btn" onClick={() => end(s)}>{tr('End…', '结束…')}</button>}</td></tr>)}</tbody></table>}</Shown>
		</Card>
	)
}

function RuleDrawer({ name, rule, active, past, every, close }: { name: string; rule: Rule | undefined; active: Alert[]; past: Alert[]; every: Alert[]; close: () => void }) {
	const runbook = rule?.annotations?.runbook_url ?? active[0]?.runbook_url
	return (
		<Drawer id={name} path={rule?.labels.service} title={name} status={rule && (rule.state === 'firing' && rule.labels.severity ? severity({ severity: rule.labels.severity }) : undefined)} close={close}>
			{rule && <section><h3>{tr('What it says', '含义')}</h3><p>{rule.annotations?.summary}</p><p class="mid small">{rule.annotations?.description}</p>{runbook && <p class="small"><span class="dim">{tr('Runbook', '处置手册')}: </span><code>{runbook}</code></p>}</section>}
			{active.length > 0 && <section><h3>{tr('Firing now', '当前触发')}<span>{count(active.length)}</span></h3><ul class="stack">{active.map(a => <li class="card pad"><div class="mono small">{labelText(a.labels) || absent}</div><Facts rows={[[tr('Since', '自'), <span title={exact(a.start_time)}>{clock(a.start_time)}</span>], [tr('Value', '值'), +a.value.toPrecision(6)]]} /></li>)}</ul></section>}
			{rule && <section><h3>{tr('Expression', '表达式')}<span><a href={href('explore', { expr: rule.query })}>{tr('Explore', '查询')}</a></span></h3><pre class="text" tabIndex={0}>{rule.query}</pre>
				<Facts rows={[[tr('For', '持续'), rule.duration ? span(rule.duration) : tr('at once', '立即')], [tr('Last evaluation', '上次评估'), clock(rule.lastEvaluation)], [tr('Took', '耗时'), span(rule.evaluationTime)], ...(rule.lastError ? [[tr('Error', '错误'), rule.lastError] as [string, string]] : [])]} /></section>}
			{rule && <RuleTest expr={rule.query} duration={rule.duration ?? 0} />}
			{past.length > 0 && <section><h3>{tr('History', '历史')}</h3><ul>{past.slice(0, 10).map(a => <li class="row small"><span class="nums">{day(a.start_time)}</span><span class="grow" /><span class="nums mid">{a.end_time ? span(Math.round((new Date(a.end_time).getTime() - new Date(a.start_time).getTime()) / 1000)) : ''}</span></li>)}</ul></section>}
			<SilenceForm name={name} active={every} />
		</Drawer>
	)
}

interface Matcher { name: string; op: string; value: string }

const ops = ['=', '!=', '=~', '!~'] as const

/** alertname="X", service=~"a|b": what all must match. A fault says where. */
function matchersOf(text: string): Matcher[] | string {
	const out: Matcher[] = []
	for (const part of text.split(/,(?=\s*[a-zA-Z_]\w*\s*[=!])/)) {
		const m = /^\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"?([^"]*)"?\s*$/.exec(part)
		if (!m) return tr(`“${part.trim()}” is no matcher`, `“${part.trim()}” 不是匹配条件`)
		out.push({ name: m[1]!, op: m[2] as (typeof ops)[number], value: m[3]! })
	}
	return out
}

function matches(a: Alert, list: Matcher[]): boolean {
	return list.every(m => {
		const has = m.name === 'alertname' ? a.rule_id : a.labels[m.name] ?? ''
		if (m.op === '=') return has === m.value
		if (m.op === '!=') return has !== m.value
		try {
			const like = new RegExp(`^(?:${m.value})$`).test(has)
			return m.op === '=~' ? like : !like
		} catch { return false }
	})
}

function SilenceForm({ name, active }: { name: string; active: Alert[] }) {
	const [hours, setHours] = useState('2')
	const [comment, setComment] = useState('')
	const [text, setText] = useState(`alertname="${name}"`)
	const parsed = matchersOf(text)
	const muted = typeof parsed === 'string' ? 0 : active.filter(a => matches(a, parsed)).length
	const make = async (e: Event) => {
		e.preventDefault()
		if (typeof parsed === 'string') return
		try {
			await send('POST', 'monitoring/silences', { matchers: parsed, duration_seconds: Number(hours) * 3600, comment, created_by: 'dashboard' })
			toast('ok', tr(`${name} is silenced`, `${name} 已静默`), tr(`for ${hours} h`, `${hours} 小时`))
			setComment('')
		} catch (err) { refused(tr('The silence was refused', '静默被拒绝'), err) }
	}
	return (
		<section><h3>{tr('Silence', '静默')}<span data-muted={muted}>{typeof parsed === 'string' ? <span class="c-crit">{parsed}</span> : tr(`mutes ${muted} of ${active.length} ${plural(active.length, 'alert', 'alerts')} that fire`, `当前触发 ${active.length} 条，将静默 ${muted} 条`)}</span></h3>
			<form class="stack" onSubmit={make}>
				<label class="small dim">{tr('Matches all of', '同时匹配')}<input class="text mono" required spellcheck={false} value={text} onInput={e => setText(e.currentTarget.value)} /></label>
				<label class="small dim">{tr('For', '时长')}<select class="text" value={hours} onChange={e => setHours(e.currentTarget.value)}>{['0.5', '1', '2', '8', '24', '168'].map(h => <option value={h}>{tr(`${span(Number(h) * 3600)}, until ${day(Date.now() + Number(h) * 3_600_000)}`, `${span(Number(h) * 3600)}，至 ${day(Date.now() + Number(h) * 3_600_000)}`)}</option>)}</select></label>
				<label class="small dim">{tr('Why (kept)', '原因（记录）')}<input class="text" required value={comment} onInput={e => setComment(e.currentTarget.value)} /></label>
				<button class="btn" type="submit" disabled={typeof parsed === 'string'}><Icon name="bell-off" size={14} />{tr('Silence', '静默')}</button>
			</form></section>
	)
}
