import type { ComponentChildren } from 'preact'
import { Filter } from '../parts/choice'
import { Tabs } from '../parts/marks'
import { Card, Empty, Shown } from '../parts/panel'
import { Status } from '../parts/status'
import { Copy, Table, type Column } from '../parts/table'
import { absent, count, day, exact } from '../state/format'
import { useResource } from '../state/resource'
import { param, set } from '../state/route'
import { tr } from '../state/words'

interface Setting { path: string; value: string; source: string; origin: string; default: string | null; needs_restart: boolean; waiting: string | null; since: string }
interface Reload { time: string; why: string; taken: string[]; needs_restart: string[]; error: string }
interface Audit { sequence?: number; time: string; principal: string; role?: string; action: string; target?: string; outcome: string; detail?: string; request_id?: string; node?: string }

export function Config({ banner }: { banner: ComponentChildren }) {
	const tab = param('tab') || 'settings'
	return (
		<main id="main" tabIndex={-1}>
			{banner}
			<div class="filters"><Filter hint={tab === 'audit' ? tr('Who, what, on what', '谁、做了什么') : tr('Setting or value', '设置或值')} width={280} />
				<Tabs label={tr('View', '视图')} value={tab} of={[['settings', tr('In force', '生效配置')], ['changed', tr('Changed', '已更改')], ['audit', tr('Audit log', '审计日志')]] as const} pick={v => set({ tab: v === 'settings' ? undefined : v }, 'push')} />
				<span class="end dim">{tr('Read-only: files, variables and flags change it', '只读：由文件、变量和参数更改')}</span></div>
			{tab === 'audit' ? <AuditLog /> : <Settings changed={tab === 'changed'} />}
		</main>
	)
}

function source(s: string): string {
	switch (s) {
		case 'default': return tr('default', '默认')
		case 'file': return tr('file', '文件')
		case 'dotenv': return '.env'
		case 'environment': return tr('variable', '环境变量')
		case 'flag': return tr('flag', '参数')
		case 'runtime': return tr('run time', '运行时')
	}
	return s
}

function Settings({ changed }: { changed: boolean }) {
	const all = useResource<{ settings: Setting[]; count: number; changed: number; reload?: Reload }>('monitoring/config', 10_000)
	const q = param('q').toLowerCase()
	const columns: Column<Setting>[] = [
		{ key: 'path', title: tr('Setting', '设置'), cell: s => <code>{s.path}</code>, value: s => s.path },
		{ key: 'value', title: tr('Value', '值'), fluid: true, cell: s => <><code class={s.source === 'default' ? 'mid' : ''} title={s.value}>{s.value}</code>{s.waiting !== null && <span title={tr(`${s.waiting} after a restart`, `重启后为 ${s.waiting}`)}> <Status level="warn" word={tr('restart', '待重启')} /> <code class="mid">{s.waiting}</code></span>}</>, value: s => s.value },
		{ key: 'default', title: tr('Default', '默认值'), far: true, cell: s => <code class="dim" title={s.default ?? ''}>{s.default === null ? absent : s.default === s.value ? tr('same', '相同') : s.default}</code>, value: s => s.default },
		{ key: 'source', title: tr('Given by', '来源'), cell: s => s.source === 'default' ? <span class="dim">{source(s.source)}</span> : <b class="c-work">{source(s.source)}</b>, value: s => s.source },
		{ key: 'origin', title: tr('Where', '位置'), far: true, cell: s => <span class="mono dim">{s.origin === s.source ? absent : s.origin}</span>, value: s => s.origin },
		{ key: 'change', title: tr('A change', '更改'), far: true, cell: s => <span class="dim">{s.needs_restart ? tr('takes a restart', '需重启') : tr('counts at once', '立即生效')}</span>, value: s => s.needs_restart ? 1 : 0 },
		{ key: 'since', title: tr('Read', '读取时间'), far: true, cell: s => <span class="nums dim" title={exact(s.since)}>{day(s.since)}</span>, value: s => s.since },
	]
	const rows = all.data?.settings.filter(s => (!changed || s.source !== 'default') && (s.path + ' ' + s.value).toLowerCase().includes(q)) ?? []
	const again = all.data?.reload
	return (
		<Card title={tr('Settings in force', '生效配置')} hint={all.data && tr(`${count(all.data.count)} settings, ${count(all.data.changed)} changed`, `共 ${count(all.data.count)} 项，更改 ${count(all.data.changed)} 项`)} end={<Copy rows={rows} columns={columns} />}>
			{again && <Again of={again} />}
			<Shown of={all} what={tr('The configuration', '配置')}>{() => rows.length === 0 ? <Empty title={tr('No setting is like that', '没有匹配的设置')} /> : <Table rows={rows} columns={columns} id={s => s.path} label={tr('Settings', '设置')} height={760} />}</Shown>
		</Card>
	)
}

/** What came of reading the configuration again. */
function Again({ of: r }: { of: Reload }) {
	const level = r.error ? 'crit' : r.needs_restart.length ? 'warn' : 'ok'
	const says = r.error ? tr('with a fault', '出错') : tr(`${count(r.taken.length)} taken up, ${count(r.needs_restart.length)} wait for a restart`, `生效 ${count(r.taken.length)} 项，待重启 ${count(r.needs_restart.length)} 项`)
	return (
		<p class="reload"><Status level={level} word={tr('Read again', '已重新读取')} /> <span class="nums" title={exact(r.time)}>{day(r.time)}</span> <span class="dim">{r.why}</span> {says}
			{r.error && <code class="c-crit">{r.error}</code>}{r.needs_restart.length > 0 && <code class="dim">{r.needs_restart.join(', ')}</code>}</p>
	)
}

function AuditLog() {
	const log = useResource<{ entries: Audit[] }>('monitoring/audit?limit=500', 5000)
	const q = param('q').toLowerCase()
	const columns: Column<Audit>[] = [
		{ key: 'time', title: tr('Time', '时间'), cell: e => <span class="nums" title={exact(e.time)}>{day(e.time)}</span>, value: e => e.time },
		{ key: 'who', title: tr('Who', '谁'), cell: e => <>{e.principal} <span class="dim">{e.role}</span></>, value: e => e.principal },
		{ key: 'action', title: tr('Did', '操作'), cell: e => <code>{e.action}</code>, value: e => e.action },
		{ key: 'target', title: tr('On', '对象'), fluid: true, cell: e => <span title={e.detail}>{e.target} <span class="dim">{e.detail}</span></span>, value: e => e.target },
		{ key: 'outcome', title: tr('Outcome', '结果'), cell: e => <Status level={e.outcome === 'done' || e.outcome === 'success' || e.outcome === 'allowed' || e.outcome === 'ok' ? 'ok' : e.outcome === 'refused' || e.outcome === 'denied' ? 'warn' : e.outcome === 'failed' ? 'crit' : 'unknown'} word={e.outcome} />, value: e => e.outcome },
		{ key: 'request', title: tr('Request', '请求'), far: true, cell: e => e.request_id ? <a class="mono" href={'/logs?request_id=' + e.request_id}>{e.request_id.slice(0, 8)}</a> : absent, value: e => e.request_id },
	]
	const rows = log.data?.entries.filter(e => `${e.principal} ${e.action} ${e.target} ${e.detail} ${e.outcome}`.toLowerCase().includes(q)) ?? []
	return (
		<Card title={tr('Audit log', '审计日志')} hint={tr('who did what to the running system', '谁对运行系统做了什么')}>
			<Shown of={log} what={tr('The audit log', '审计日志')}>{() => rows.length === 0 ? <Empty title={tr('Nobody did anything', '没有操作')}>{tr('Restarts, stops, silences, logins and refusals are kept here.', '重启、停止、静默、登录与拒绝会记录在此。')}</Empty> : <Table rows={rows} columns={columns} id={e => String(e.sequence ?? e.time + e.action)} label={tr('Audit log', '审计日志')} height={760} />}</Shown>
		</Card>
	)
}
