import type { ComponentChildren } from 'preact'
import { confirm } from '../parts/confirm'
import { Drawer } from '../parts/drawer'
import { Icon } from '../parts/icon'
import { Facts } from '../parts/marks'
import { Card, Empty, Shown } from '../parts/panel'
import { Status, type Level } from '../parts/status'
import { Table, type Column } from '../parts/table'
import { send } from '../state/api'
import { absent, count, day, exact, minute, span } from '../state/format'
import { now } from '../state/live'
import { useResource, type Resource } from '../state/resource'
import { param, set } from '../state/route'
import { tr } from '../state/words'
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
	const runs = useResource<{ data: Run[] }>('scheduler/runs?limit=200', 3000)
	const sel = param('sel')
	const one = tasks.data?.data.find(t => t.task_id === sel)
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
	return (
		<>
			<main id="main" tabIndex={-1}>
				{banner}
				<Strip of={upcoming} tasks={tasks.data?.data ?? []} />
				<Card title={tr('Tasks', '任务')}><Shown of={tasks} what={tr('The scheduler', '调度服务')}>{d => d.data.length === 0 ? <Empty title={tr('No tasks', '没有任务')} /> : <Table rows={d.data} columns={columns} id={t => t.task_id} label={tr('Tasks', '任务')} first="next" selected={sel} pick={t => set({ sel: t.task_id === sel ? undefined : t.task_id }, 'push')} height={420} />}</Shown></Card>
				<Runs of={runs} />
			</main>
			{sel && one && <TaskDrawer key={sel} task={one} done={() => { tasks.retry(); runs.retry() }} />}
		</>
	)
}

/** The next 24 hours, a mark for each fire; denser than can be told apart: a band. */
function Strip({ of, tasks }: { of: Resource<Upcoming>; tasks: Task[] }) {
	const begin = now.value, whole = 86_400_000
	return (
		<Card title={tr('Next 24 h', '未来 24 小时')} hint={tr('each mark is one fire, its width the usual run time', '每个标记为一次触发，宽度为通常耗时')}>
			<Shown of={of} what={tr('The scheduler', '调度服务')}>{d => d.data.length === 0 ? <Empty title={tr('Nothing is due', '没有待触发任务')} /> : (
				<div class="pad fires"><span class="label">{tr('Task', '任务')}</span><span class="row label ticks">{[0, 4, 8, 12, 16, 20].map(h => <span class="nums">{h ? minute(begin + h * 3_600_000) : tr('now', '现在')}</span>)}<span class="nums">{minute(begin + whole)}</span></span><span class="num label">{tr('Next in', '下次')}</span>
					{d.data.slice(0, 30).map(t => {
						const next = t.fires.map(f => new Date(f).getTime()).filter(f => f >= begin)
						const width = Math.max(0.25, (t.usual_seconds * 1000 / whole) * 100)
						const dense = next.length > 300
						return <><a class="clip plain-link" href={'/scheduler?sel=' + encodeURIComponent(t.task_id)}>{t.name} <span class="dim">{tasks.find(x => x.task_id === t.task_id)?.schedule}</span></a>
							<div class="timeline" role="img" aria-label={tr(`${t.name}: ${next.length} fires`, `${t.name}：${next.length} 次触发`)}>{dense ? <i class="seg live" style={{ left: ((next[0]! - begin) / whole) * 100 + '%', width: ((next.at(-1)! - next[0]!) / whole) * 100 + '%' }} /> : next.map(f => <i class="fire" style={{ left: ((f - begin) / whole) * 100 + '%', width: width + '%' }} />)}</div>
							<span class="num">{next[0] ? span(Math.round((next[0] - begin) / 1000)) : absent}</span></>
					})}
				</div>
			)}</Shown>
		</Card>
	)
}

function Runs({ of }: { of: Resource<{ data: Run[] }> }) {
	return (
		<Card title={tr('What ran', '运行记录')} hint={tr('newest first', '最新在前')}>
			<Shown of={of} what={tr('The scheduler', '调度服务')}>{d => d.data.length === 0 ? <Empty title={tr('Nothing has run yet', '尚无运行')}>{tr('The strip above says what is next.', '上方显示接下来的触发。')}</Empty> : <Table rows={d.data} id={r => r.run_id + r.status} label={tr('Runs', '运行')} sortName="runs" height={320} pick={r => set({ sel: r.task_id }, 'push')} columns={[
				{ key: 'for', title: tr('Due', '应触发'), cell: r => <span class="nums" title={exact(r.scheduled_for)}>{day(r.scheduled_for)}</span>, value: r => r.scheduled_for },
				{ key: 'task', title: tr('Task', '任务'), fluid: true, cell: r => r.task_name, value: r => r.task_name },
				{ key: 'status', title: tr('Outcome', '结果'), cell: r => <span title={r.error ?? r.answer}><Status level={levels[r.status] ?? 'unknown'} word={word(r.status) + (r.times > 1 ? ' ×' + r.times : '')} /></span>, value: r => r.status },
				{ key: 'cause', title: tr('Cause', '触发方式'), far: true, cell: r => r.cause === 'manual' ? tr('by hand', '手动') : r.cause === 'caught_up' ? tr('caught up', '补跑') : tr('schedule', '计划'), value: r => r.cause },
				{ key: 'late', title: tr('Late', '迟到'), num: true, cell: r => span(r.lateness_seconds), value: r => r.lateness_seconds },
				{ key: 'took', title: tr('Took', '耗时'), num: true, cell: r => span(r.duration_seconds), value: r => r.duration_seconds },
				{ key: 'http', title: 'HTTP', num: true, far: true, cell: r => r.http_status || absent, value: r => r.http_status },
			]} />}</Shown>
		</Card>
	)
}

function TaskDrawer({ task: t, done }: { task: Task; done: () => void }) {
	const full = useResource<{ data: Task }>('scheduler/tasks/' + encodeURIComponent(t.task_id), 5000)
	const runs = useResource<{ data: Run[] }>(`scheduler/tasks/${encodeURIComponent(t.task_id)}/runs?limit=20`, 3000)
	const path = 'scheduler/tasks/' + encodeURIComponent(t.task_id)
	const run = () => confirm({ title: tr(`Run ${t.name} now?`, `立即运行 ${t.name}？`), says: tr(`POST ${t.target_endpoint} of ${t.target_service}; the schedule is not changed.`, `向 ${t.target_service} 的 ${t.target_endpoint} 发送 POST；计划不变。`), act: tr('Run now', '立即运行'), go: async () => { await send('POST', path + '/run'); done(); return t.name } })
	const pause = () => confirm({ title: t.paused ? tr(`Resume ${t.name}?`, `恢复 ${t.name}？`) : tr(`Pause ${t.name}?`, `暂停 ${t.name}？`), says: t.paused ? tr('Its schedule fires again.', '计划将再次触发。') : tr('Its schedule does not fire until it is resumed.', '恢复前不会触发。'), act: t.paused ? tr('Resume', '恢复') : tr('Pause', '暂停'), go: async () => { await send('POST', path + (t.paused ? '/resume' : '/pause')); done(); return t.name } })
	return (
		<Drawer path={t.target_service} title={t.name} close={() => set({ sel: undefined }, 'push')} acts={<><button class="btn" onClick={run}><Icon name="play" size={14} />{tr('Run now…', '立即运行…')}</button><button class="btn" onClick={pause}><Icon name="pause" size={14} />{t.paused ? tr('Resume…', '恢复…') : tr('Pause…', '暂停…')}</button></>}>
			<section><Facts rows={[['Cron', <code>{t.cron_expression}</code>], [tr('In words', '含义'), t.schedule], [tr('Zone', '时区'), t.timezone], [tr('Next', '下次'), <span title={exact(t.next_run)}>{day(t.next_run)}</span>], [tr('Calls', '调用'), <code>{t.target_endpoint}</code>], [tr('Usually takes', '通常耗时'), span(t.usual_seconds || undefined)], [tr('Missed', '错过'), count(t.missed_count)], [tr('Skipped', '跳过'), count(t.skipped_count)]]} /></section>
			{full.data?.data.last_error && <section><h3>{tr('Last error', '上次错误')}</h3><pre class="text" tabIndex={0}>{full.data.data.last_error}</pre></section>}
			<section><h3>{tr('Payload', '负载')}</h3><Shown of={full} what={tr('The scheduler', '调度服务')}>{d => <pre class="text" tabIndex={0}>{JSON.stringify(d.data.payload ?? {}, null, 2)}</pre>}</Shown></section>
			<section><h3>{tr('Runs', '运行')}</h3><Shown of={runs} what={tr('The scheduler', '调度服务')}>{d => d.data.length === 0 ? <Empty title={tr('It has not run yet', '尚未运行')} /> : <table class="t"><tbody>{d.data.map(r => <tr><td class="nums" title={exact(r.scheduled_for)}>{day(r.scheduled_for)}</td><td title={r.error ?? r.answer}><Status level={levels[r.status] ?? 'unknown'} word={word(r.status)} /></td><td class="num">{span(r.duration_seconds)}</td></tr>)}</tbody></table>}</Shown></section>
		</Drawer>
	)
}
