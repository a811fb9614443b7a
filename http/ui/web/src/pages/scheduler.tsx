import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { useColumns } from '../parts/columns'
import { confirm } from '../parts/confirm'
import { Drawer, Drawers } from '../parts/drawer'
import { Icon } from '../parts/icon'
import { Facts } from '../parts/marks'
import { Card, Empty, Shown } from '../parts/panel'
import { Status, type Level } from '../parts/status'
import { Table, type Column } from '../parts/table'
import { Twin, TwinButton } from '../parts/twin'
import { send } from '../state/api'
import { absent, clock, count, day, exact, minute, span } from '../state/format'
import { now } from '../state/moment'
import { useResource, type Resource } from '../state/resource'
import { href, param, set } from '../state/route'
import { plural, tr } from '../state/words'
import { runWord } from './storage'

interface Task { task_id: string; name: string; cron_expression: string; schedule: string; timezone: string; target_service: string; target_endpoint: string; status: string; last_run: string | null; next_run: string | null; run_count: number; error_count: number; missed_count: number; skipped_count: number; paused: boolean; active_runs: number; usual_seconds: number; payload?: unknown; last_error?: string | null }
interface Run { run_id: string; task_id: string; task_name: string; scheduled_for: string; cause: string; status: string; reason?: string; started_at: string | null; duration_seconds: number | null; lateness_seconds: number | null; attempts: number; http_status?: number; answer?: string; error?: string; times: number }
interface Upcoming { data: { task_id: string; name: string; usual_seconds: number; fires: string[] }[] }

const levels: Record<string, Level> = { succeeded: 'ok', failed: 'crit', timed_out: 'crit', cancelled: 'off', running: 'work', skipped: 'warn', missed: 'warn' }

function word(status: string): string {
	switch (status) {
		case 'timed_out': return tr('Timed out', '超时')
		case 'skipped': return tr('Skipped', '跳过')
		case 'missed': return tr('Missed', '错过')
	}
	return runWord(status)
}

export function Scheduler({ banner }: { banner: ComponentChildren }) {
	const tasks = useResource<{ data: Task[] }>('scheduler/tasks?limit=500', 2000)
	const upcoming = useResource<Upcoming>('scheduler/upcoming?hours=24&per_task=300', 30_000)
	const runs = useResource<{ data: Run[] }>('scheduler/runs?limit=1000', 3000)
	const sel = param('sel')
	const columns: Column<Task>[] = [
		{ key: 'name', title: tr('Task', '任务'), fluid: true, cell: t => <span title={t.target_service + t.target_endpoint}>{t.name}</span>, value: t => t.name },
		{ key: 'state', title: tr('State', '状态'), cell: t => t.paused ? <Status level="off" word={tr('Paused', '已暂停')} /> : t.active_runs ? <Status level="work" word={tr('Running', '运行中')} /> : t.status === 'failed' ? <Status level="crit" word={tr('Failed', '失败')} /> : <Status level="ok" word={tr('Waits', '等待')} />, value: t => t.status },
		{ key: 'cron', title: 'Cron', cell: t => <><code>{t.cron_expression}</code> <span class="dim far">{t.schedule}</span></>, value: t => t.cron_expression },
		{ key: 'zone', title: tr('Zone', '时区'), far: true, cell: t => <span class="dim">{t.timezone}</span>, value: t => t.timezone },
		{ key: 'last', title: tr('Last', '上次'), num: true, far: true, cell: t => <span title={exact(t.last_run)}>{day(t.last_run)}</span>, value: t => t.last_run },
		{ key: 'next', title: tr('Next in', '下次'), num: true, cell: t => <span title={exact(t.next_run)}>{t.next_run ? span(Math.max(0, Math.round((new Date(t.next_run).getTime() - now.value) / 1000))) : absent}</span>, value: t => t.next_run ?? '9' },
		{ key: 'runs', title: tr('Runs', '运行'), num: true, cell: t => count(t.run_count), value: t => t.run_count },
		{ key: 'errors', title: tr('Errors', '错误'), num: true, cell: t => <span class={t.error_count ? 'c-crit' : 'dim'}>{count(t.error_count)}</span>, value: t => t.error_count },
	]
	const rows = tasks.data?.data ?? []
	const [shown, tools] = useColumns('tasks', columns, rows)
	return (
		<>
			<main id="main" tabIndex={-1}>
				{banner}
				<Strip of={upcoming} tasks={rows} />
				<RunLine of={runs} tasks={rows} />
				<Card title={tr('Tasks', '任务')} end={tools} undated><Shown of={tasks} what={tr('The scheduler', '调度服务')}>{d => d.data.length === 0 ? <Empty title={tr('No tasks', '没有任务')} /> : <Table rows={d.data} columns={shown} id={t => t.task_id} label={tr('Tasks', '任务')} first="next" selected={sel} pick={t => set({ sel: t.task_id === sel ? undefined : t.task_id }, 'push')} height={420} />}</Shown></Card>
				<Runs of={runs} />
			</main>
			<Drawers>{(id, close) => { const one = rows.find(t => t.task_id === id); return one && <TaskDrawer task={one} close={close} done={() => { tasks.retry(); runs.retry() }} /> }}</Drawers>
		</>
	)
}

/** The next 24 hours, a mark for each fire; denser than can be told apart: a band. */
function Strip({ of, tasks }: { of: Resource<Upcoming>; tasks: Task[] }) {
	const begin = now.value, whole = 86_400_000
	return (
		<Card title={tr('Next 24 h', '未来 24 小时')} hint={tr('each mark is one fire, its width the usual run time', '每个标记为一次触发，宽度为通常耗时')} end={<TwinButton />}>
			<Shown of={of} what={tr('The scheduler', '调度服务')}>{d => d.data.length === 0 ? <Empty title={tr('Nothing is due', '没有待触发任务')} /> : (
				<Twin label={tr('Next 24 h', '未来 24 小时')} head={[tr('Task', '任务'), '#' + tr('Fires', '触发'), '#' + tr('First', '首次'), '#' + tr('Last', '末次'), '#' + tr('Takes', '耗时')]} rows={() => d.data.map(t => [t.name, count(t.fires.length), day(t.fires[0]), day(t.fires.at(-1)), t.usual_seconds ? span(t.usual_seconds) : absent])}>
				<div class="pad fires"><span class="label">{tr('Task', '任务')}</span><span class="row label ticks">{[0, 4, 8, 12, 16, 20].map(h => <span class="nums">{h ? minute(begin + h * 3_600_000) : tr('now', '现在')}</span>)}<span class="nums">{minute(begin + whole)}</span></span><span class="num label">{tr('Next in', '下次')}</span>
					{d.data.slice(0, 30).map(t => {
						const next = t.fires.map(f => new Date(f).getTime()).filter(f => f >= begin)
						const width = Math.max(0.25, (t.usual_seconds * 1000 / whole) * 100)
						const dense = next.length > 300
						return <><a class="clip plain-link" href={href('scheduler', { sel: t.task_id })}>{t.name} <span class="dim">{tasks.find(x => x.task_id === t.task_id)?.schedule}</span></a>
							<div class="timeline" role="img" aria-label={tr(`${t.name}: ${next.length} fires`, `${t.name}：${next.length} 次触发`)}>{dense ? <i class="seg live" style={{ left: ((next[0]! - begin) / whole) * 100 + '%', width: ((next.at(-1)! - next[0]!) / whole) * 100 + '%' }} /> : next.map(f => <i class="fire" style={{ left: ((f - begin) / whole) * 100 + '%', width: width + '%' }} />)}</div>
							<span class="num">{next[0] ? span(Math.round((next[0] - begin) / 1000)) : absent}</span></>
					})}
				</div>
				</Twin>
			)}</Shown>
		</Card>
	)
}

/** The last 24 hours, a line for each task: what ran, what failed, was missed or skipped. */
function RunLine({ of, tasks }: { of: Resource<{ data: Run[] }>; tasks: Task[] }) {
	const whole = 86_400_000, begin = now.value - whole
	const begun = (r: Run) => new Date(r.started_at ?? r.scheduled_for).getTime()
	return (
		<Card title={tr('Last 24 h', '过去 24 小时')} hint={tr('each mark is a run; its height is how late it began', '每个标记为一次运行，高度表示迟到时间')} end={<><span class="legend wide"><span><i class="run ok" />{tr('ok', '成功')}</span><span><i class="run crit" />{tr('failed', '失败')}</span><span><i class="run warn" />{tr('missed or skipped', '错过或跳过')}</span></span><TwinButton /></>}>
			<Shown of={of} what={tr('The scheduler', '调度服务')}>{d => {
				const recent = d.data.filter(r => begun(r) >= begin && begun(r) <= now.value)
				if (recent.length === 0) return <Empty title={tr('Nothing ran in the last 24 hours', '过去 24 小时没有运行')} />
				const names = [...new Set(recent.map(r => r.task_id))]
				return (
					<Twin label={tr('Last 24 h', '过去 24 小时')} head={[tr('Task', '任务'), '#' + tr('Ran', '运行'), '#' + tr('Failed', '失败'), '#' + tr('Missed or skipped', '错过或跳过'), '#' + tr('Latest', '最迟')]} rows={() => names.map(id => { const mine = recent.filter(r => r.task_id === id); const number = (l: Level) => mine.filter(r => levels[r.status] === l).reduce((n, r) => n + r.times, 0); return [mine[0]!.task_name, count(mine.length), count(number('crit')), count(number('warn')), span(Math.max(...mine.map(r => r.lateness_seconds ?? 0)))] })}>
						<div class="pad fires"><span class="label">{tr('Task', '任务')}</span><span class="row label ticks">{[0, 4, 8, 12, 16, 20].map(h => <span class="nums">{minute(begin + h * 3_600_000)}</span>)}<span class="nums">{tr('now', '现在')}</span></span><span class="num label">{tr('Latest', '最迟')}</span>
							{names.slice(0, 30).map(id => {
								const mine = recent.filter(r => r.task_id === id)
								const latest = Math.max(...mine.map(r => r.lateness_seconds ?? 0))
								return <><a class="clip plain-link" href={href('scheduler', { sel: id })}>{mine[0]!.task_name} <span class="dim">{tasks.find(t => t.task_id === id)?.schedule}</span></a>
									<div class="timeline runs" role="img" aria-label={tr(`${mine[0]!.task_name}: ${mine.length} runs`, `${mine[0]!.task_name}：${mine.length} 次运行`)}>{mine.map(r => <i class={'run ' + (levels[r.status] ?? 'off')} title={`${clock(begun(r))} ${word(r.status)} ${span(r.duration_seconds)}`} style={{ left: ((begun(r) - begin) / whole) * 100 + '%', width: Math.max(0.25, ((r.duration_seconds ?? 0) * 100_000) / whole) + '%', height: Math.min(14, 6 + (r.lateness_seconds ?? 0) * 2) + 'px' }} />)}</div>
									<span class={'num' + (latest > 5 ? ' c-warn' : '')}>{span(latest)}</span></>
							})}
						</div>
					</Twin>
				)
			}}</Shown>
		</Card>
	)
}

/** Changes when a task runs: says in words what an expression means, and its next five times. */
function Edit({ task: t, close, done }: { task: Task; close: () => void; done: () => void }) {
	const [cron, setCron] = useState(t.cron_expression)
	const [zone, setZone] = useState(t.timezone)
	const [payload, setPayload] = useState<string | undefined>()
	const full = useResource<{ data: Task }>('scheduler/tasks/' + encodeURIComponent(t.task_id), 0)
	const means = useResource<{ description: string; next: string[] }>(cron.trim() ? `scheduler/cron/explain?limit=5&expr=${encodeURIComponent(cron)}&tz=${encodeURIComponent(zone)}&seed=${encodeURIComponent(t.task_id)}` : '', 0)
	const text = payload ?? JSON.stringify(full.data?.data.payload ?? {}, null, 2)
	let body: unknown
	let fault = ''
	try { body = JSON.parse(text) } catch (e) { fault = (e as Error).message }
	const save = (e: Event) => {
		e.preventDefault()
		confirm({
			title: tr(`Change ${t.name}?`, `更改 ${t.name}？`), says: cron === t.cron_expression && zone === t.timezone ? tr('Its schedule stays; what it sends is changed.', '计划不变，发送内容更改。') : tr(`It runs ${means.data?.description ?? cron}, next at ${day(means.data?.next[0])}. The schedule counts from now.`, `将按 ${means.data?.description ?? cron} 运行，下次 ${day(means.data?.next[0])}。计划从现在起算。`), act: tr('Change it', '更改'),
			go: async () => { await send('PUT', 'scheduler/tasks/' + encodeURIComponent(t.task_id), { cron_expression: cron, timezone: zone, ...(payload === undefined ? {} : { payload: body }) }); done(); close(); return t.name },
		})
	}
	return (
		<section><h3>{tr('Edit', '编辑')}</h3>
			<form class="stack edit" onSubmit={save}>
				<label class="small dim">Cron<input class="text mono" required spellcheck={false} value={cron} onInput={e => setCron(e.currentTarget.value)} /></label>
				<label class="small dim">{tr('Zone', '时区')}<input class="text" required value={zone} onInput={e => setZone(e.currentTarget.value)} /></label>
				<div class="card pad small" data-next={means.data?.next.length}>{means.error ? <span class="c-crit">{means.error}</span> : means.data ? <><b>{means.data.description}</b><ol class="fives nums">{means.data.next.map(n => <li title={exact(n)}>{day(n, true)} <span class="dim">{tr(`in ${span(Math.max(0, Math.round((new Date(n).getTime() - now.value) / 1000)))}`, `${span(Math.max(0, Math.round((new Date(n).getTime() - now.value) / 1000)))} 后`)}</span></li>)}</ol></> : <span class="dim">…</span>}</div>
				<label class="small dim">{tr('Payload', '负载')}<textarea class="text mono" rows={5} value={text} onInput={e => setPayload(e.currentTarget.value)} /></label>
				{fault && <span class="c-crit small">{fault}</span>}
				<div class="row"><span class="grow" /><button class="btn" type="button" onClick={close}>{tr('Leave it', '不操作')}</button><button class="btn main" type="submit" disabled={!!means.error || !means.data || !!fault}>{tr('Change…', '更改…')}</button></div>
			</form></section>
	)
}

function Runs({ of }: { of: Resource<{ data: Run[] }> }) {
	const columns: Column<Run>[] = [
		{ key: 'for', title: tr('Due', '应触发'), cell: r => <span class="nums" title={exact(r.scheduled_for)}>{day(r.scheduled_for)}</span>, value: r => r.scheduled_for },
		{ key: 'task', title: tr('Task', '任务'), fluid: true, cell: r => r.task_name, value: r => r.task_name },
		{ key: 'status', title: tr('Outcome', '结果'), cell: r => <span title={r.error ?? r.answer}><Status level={levels[r.status] ?? 'unknown'} word={word(r.status) + (r.times > 1 ? ' ×' + r.times : '')} /></span>, value: r => r.status },
		{ key: 'cause', title: tr('Cause', '触发方式'), far: true, cell: r => r.cause === 'manual' ? tr('by hand', '手动') : r.cause === 'caught_up' ? tr('caught up', '补跑') : tr('schedule', '计划'), value: r => r.cause },
		{ key: 'late', title: tr('Late', '迟到'), num: true, cell: r => span(r.lateness_seconds), value: r => r.lateness_seconds },
		{ key: 'took', title: tr('Took', '耗时'), num: true, cell: r => span(r.duration_seconds), value: r => r.duration_seconds },
		{ key: 'http', title: 'HTTP', num: true, far: true, cell: r => r.http_status || absent, value: r => r.http_status },
		{ key: 'id', title: tr('Fire id', '触发编号'), far: true, cell: r => <span class="mono dim clip" title={r.run_id}>{r.run_id.split('@').at(-1)}</span>, value: r => r.run_id },
	]
	const rows = of.data?.data.filter(r => new Date(r.scheduled_for).getTime() <= now.value) ?? []
	const [shown, tools] = useColumns('runs', columns, rows)
	return (
		<Card title={tr('What ran', '运行记录')} hint={tr('newest first', '最新在前')} end={tools}>
			<Shown of={of} what={tr('The scheduler', '调度服务')}>{() => rows.length === 0 ? <Empty title={tr('Nothing has run yet', '尚无运行')}>{tr('The strip above says what is next.', '上方显示接下来的触发。')}</Empty> : <Table rows={rows} id={r => r.run_id + r.status} label={tr('Runs', '运行')} sortName="runs" height={320} pick={r => set({ sel: r.task_id }, 'push')} columns={shown} />}</Shown>
		</Card>
	)
}

function TaskDrawer({ task: t, close, done }: { task: Task; close: () => void; done: () => void }) {
	const [editing, edit] = useState(false)
	const full = useResource<{ data: Task }>('scheduler/tasks/' + encodeURIComponent(t.task_id), 5000)
	const runs = useResource<{ data: Run[] }>(`scheduler/tasks/${encodeURIComponent(t.task_id)}/runs?limit=20`, 3000)
	const path = 'scheduler/tasks/' + encodeURIComponent(t.task_id)
	const run = () => confirm({ title: tr(`Run ${t.name} now?`, `立即运行 ${t.name}？`), says: tr(`POST ${t.target_endpoint} of ${t.target_service}; the schedule is not changed.`, `向 ${t.target_service} 的 ${t.target_endpoint} 发送 POST；计划不变。`), act: tr('Run now', '立即运行'), go: async () => { await send('POST', path + '/run'); done(); return t.name } })
	const cancel = () => confirm({ title: tr(`Cancel ${t.active_runs} ${plural(t.active_runs, 'run', 'runs')} of ${t.name}?`, `取消 ${t.name} 的 ${t.active_runs} 次运行？`), says: tr('What the service has begun may go on there; the schedule goes on too.', '服务端已开始的工作可能继续；计划不变。'), act: tr('Cancel the runs', '取消运行'), risk: true, go: async () => { await send('POST', path + '/cancel'); done(); return t.name } })
	const pause = () => confirm({ title: t.paused ? tr(`Resume ${t.name}?`, `恢复 ${t.name}？`) : tr(`Pause ${t.name}?`, `暂停 ${t.name}？`), says: t.paused ? tr('Its schedule fires again.', '计划将再次触发。') : tr('Its schedule does not fire until it is resumed.', '恢复前不会触发。'), act: t.paused ? tr('Resume', '恢复') : tr('Pause', '暂停'), go: async () => { await send('POST', path + (t.paused ? '/resume' : '/pause')); done(); return t.name } })
	return (
		<Drawer id={t.task_id} path={t.target_service} title={t.name} close={close} acts={<><button class="btn" onClick={run}><Icon name="play" size={14} />{tr('Run now…', '立即运行…')}</button><button class="btn" onClick={pause}><Icon name="pause" size={14} />{t.paused ? tr('Resume…', '恢复…') : tr('Pause…', '暂停…')}</button><button class="btn" aria-expanded={editing} onClick={() => edit(!editing)}><Icon name="pencil" size={14} />{tr('Edit…', '编辑…')}</button>{t.active_runs > 0 && <button class="btn risk" onClick={cancel}>{tr('Cancel…', '取消…')}</button>}</>}>
			{editing && <Edit task={t} close={() => edit(false)} done={done} />}
			<section><Facts rows={[['Cron', <code>{t.cron_expression}</code>], [tr('In words', '含义'), t.schedule], [tr('Zone', '时区'), t.timezone], [tr('Next', '下次'), <span title={exact(t.next_run)}>{day(t.next_run)}</span>], [tr('Calls', '调用'), <code>{t.target_endpoint}</code>], [tr('Usually takes', '通常耗时'), span(t.usual_seconds || undefined)], [tr('Missed', '错过'), count(t.missed_count)], [tr('Skipped', '跳过'), count(t.skipped_count)]]} /></section>
			{full.data?.data.last_error && <section><h3>{tr('Last error', '上次错误')}</h3><pre class="text" tabIndex={0}>{full.data.data.last_error}</pre></section>}
			<section><h3>{tr('Payload', '负载')}</h3><Shown of={full} what={tr('The scheduler', '调度服务')}>{d => <pre class="text" tabIndex={0}>{JSON.stringify(d.data.payload ?? {}, null, 2)}</pre>}</Shown></section>
			<section><h3>{tr('Runs', '运行')}</h3><Shown of={runs} what={tr('The scheduler', '调度服务')}>{d => d.data.length === 0 ? <Empty title={tr('It has not run yet', '尚未运行')} /> : <table class="t"><tbody>{d.data.map(r => <tr><td class="nums" title={exact(r.scheduled_for)}>{day(r.scheduled_for)}</td><td title={r.error ?? r.answer}><Status level={levels[r.status] ?? 'unknown'} word={word(r.status)} /></td><td class="num">{span(r.duration_seconds)}</td></tr>)}</tbody></table>}</Shown></section>
		</Drawer>
	)
}
