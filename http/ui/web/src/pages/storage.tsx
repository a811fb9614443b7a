import type { ComponentChildren } from 'preact'
import { confirm } from '../parts/confirm'
import { Icon } from '../parts/icon'
import { Bullet } from '../parts/marks'
import { Card, Empty, Shown } from '../parts/panel'
import { Status, type Level } from '../parts/status'
import { useColumns } from '../parts/columns'
import { Twin, TwinButton } from '../parts/twin'
import { Table, type Column } from '../parts/table'
import { get, send } from '../state/api'
import { absent, bytes, clock, count, day, exact, rate, since, span } from '../state/format'
import { entries } from '../state/live'
import { now } from '../state/moment'
import { only, useInstants } from '../state/promql'
import { queries } from '../state/queries'
import { ofTopic, useResource, type Resource } from '../state/resource'
import { tr } from '../state/words'

interface Shard { shard: number; state: string; fault?: string; turn_of?: string; copying?: { from: string; files: number; files_total: number; bytes: number; bytes_total: number; problem?: string }; applied: number; position: number; behind_seconds: number; published_to: number; waiting: boolean; writers: Writer[]; journal?: { first: number; last: number; lag: number; bytes: number; max_bytes: number } }
interface Writer { table: string; state: string; writes_total: number; failures_total: number; failures_in_row: number; took_seconds: number; at: string; suspended?: boolean }
interface Operation { operation_id: string; job: string; state: string; scheduled: boolean; created: string; started?: string; finished?: string; rows: number; rows_total: number; files: number; bytes: number; error?: string; cutoff_time?: string }
interface Archiving { lag_seconds: number; waiting_rows: number; after_seconds: number; interval_seconds: number; hot_ttl_seconds: number; cold_ttl_seconds: number; automatic: boolean; cold?: { open: boolean; place: string; corrupt: boolean }; operations: Operation[] }
interface Stats { data: { tables: { table: string; rows: number; bytes: number; parts: number; memory_rows: number }[]; cold_tables: { table: string; rows: number; bytes: number; files?: number }[]; cold_storage: { size_gb: number; available: boolean }; hot_storage: { size_mb: number } } }
interface Part { table: string; tier: string; path: string; bytes: number; rows: number; min_time_ns: number; max_time_ns: number; shard: number; created: string }

export function Storage({ banner }: { banner: ComponentChildren }) {
	const shards = ([...entries('storage')] as [string, unknown][]).filter(([k]) => k.startsWith('shards/')).map(([, v]) => v as Shard)
	const archiving = entries('storage').get('archiving') as Archiving | undefined
	const stats = useResource<Stats>('storage/stats', 5000)
	const parts = useResource<{ data: Part[] }>('storage/parts', 20_000)
	const source = ofTopic('storage', shards.length > 0)
	return (
		<main id="main" tabIndex={-1}>
			{banner}
			<Card title={tr('Where everything is', '数据在哪里')} hint={tr('one bar for each shard of the journal: cold, hot, not yet queryable', '每个分片一条：冷、热、尚不可查')} end={<><TwinButton /><Acts done={stats.retry} /></>} undated>
				<Shown of={source} what={tr('Storage', '存储')}>{() => <div class="pad stack">{shards.map(s => <Line key={s.shard} shard={s} archiving={archiving} stats={stats.data} />)}</div>}</Shown>
			</Card>
			<Retention archiving={archiving} />
			<div class="half"><Writers shards={shards} source={source} done={stats.retry} stats={stats.data} /><Tables of={stats} archiving={archiving} /></div>
			<div class="half"><Runs archiving={archiving} /><Parts of={parts} /></div>
		</main>
	)
}

/** What a shard's reader is about. */
function standing(s: Shard): [Level, string] {
	switch (s.state) {
		case 'reading': return ['ok', tr('Reading', '读取中')]
		case 'opening': return ['work', tr('Opening', '打开中')]
		case 'draining': return ['work', tr('Draining', '排空中')]
		case 'copying': return ['work', s.copying?.from ? tr(`Copying from ${s.copying.from}`, `正从 ${s.copying.from} 复制`) : tr('Looking for a copy', '寻找副本')]
		case 'standby': return ['off', tr(`Standby: ${s.turn_of ?? 'another node'} writes`, `待命：由 ${s.turn_of ?? '其他节点'} 写入`)]
		case 'stopped': return ['off', tr('Stopped', '已停止')]
	}
	return ['crit', s.state === 'faulted' ? tr('Cannot read on', '无法继续读取') : s.state]
}

/** The journal of one shard as a bar: cold, archived to, hot, applied, end; with the lag at each edge. */
function Line({ shard: s, archiving, stats }: { shard: Shard; archiving: Archiving | undefined; stats: Stats | undefined }) {
	const j = s.journal
	const hot = stats?.data.tables.reduce((n, t) => n + t.rows, 0)
	const cold = stats?.data.cold_tables.reduce((n, t) => n + t.rows, 0)
	const waiting = j ? Math.max(0, j.last - s.applied) : 0
	const [level, word] = standing(s)
	const late = archiving !== undefined && archiving.lag_seconds > archiving.after_seconds + 2 * archiving.interval_seconds
	const coldBytes = stats?.data.cold_tables.reduce((n, t) => n + t.bytes, 0), hotBytes = stats?.data.tables.reduce((n, t) => n + t.bytes, 0)
	// The store is drawn by rows, the journal's rest as a tenth: what waits there is few, and matters most.
	const all = (hot ?? 0) + (cold ?? 0)
	const share = all ? Math.min(0.88, Math.max(0.06, (cold ?? 0) / all * 0.9)) : 0.06
	const edge = (at: number, name: ComponentChildren, lag: ComponentChildren, bad = false) => <div class={'edge' + (bad ? ' c-warn' : '')} style={{ left: at * 100 + '%' }}><b class="nums">{name}</b><span class="nums">{lag}</span></div>
	return (
		<div class="stack">
			<div class="row"><b>{tr(`Shard ${s.shard}`, `分片 ${s.shard}`)}</b><Status level={level} word={word} /><span class="grow small dim clip">{s.fault ?? s.copying?.problem ?? (s.copying && s.copying.files_total > 0 ? tr(`${count(s.copying.files)} of ${count(s.copying.files_total)} files, ${bytes(s.copying.bytes)} of ${bytes(s.copying.bytes_total)}`, `文件 ${count(s.copying.files)}/${count(s.copying.files_total)}，${bytes(s.copying.bytes)}/${bytes(s.copying.bytes_total)}`) : '')}</span><span class="small mid nums">{tr(`journal ${count(j?.first)} to ${count(j?.last)}`, `预写日志 ${count(j?.first)} 至 ${count(j?.last)}`)}</span></div>
			<Twin label={tr(`Shard ${s.shard}`, `分片 ${s.shard}`)} head={[tr('Part', '部分'), '#' + tr('Rows', '行数'), '#' + tr('Size', '大小'), '#' + tr('Behind', '落后')]} rows={() => [
				[tr('Cold store', '冷存储'), count(cold), bytes(coldBytes), span(archiving?.lag_seconds)], [tr('Hot store', '热存储'), count(hot), bytes(hotBytes), span(s.behind_seconds)], [tr('Journal, not yet queryable (batches)', '预写日志，尚不可查（批）'), count(waiting), bytes(j?.bytes), '']]}>
				<div class="pipe" role="img" aria-label={tr(`${count(cold)} rows cold, ${count(hot)} hot, ${waiting} batches waiting`, `冷 ${count(cold)} 行，热 ${count(hot)} 行，等待 ${waiting} 批`)}><i class="h1" style={{ width: share * 100 + '%' }}>{share > 0.2 && <span>{tr('cold', '冷')}</span>}</i><i class="h3" style={{ width: (0.9 - share) * 100 + '%' }}><span>{tr('hot', '热')}</span></i><i class={waiting > 1000 ? 'hw' : 'h4'} style={{ width: '10%' }} /></div>
				<div class="edges small">
					<div class="edge first"><b>{count(cold)}</b><span>{tr(`rows cold, ${bytes(coldBytes)}`, `行冷数据，${bytes(coldBytes)}`)}{archiving?.cold && !archiving.cold.open && <> <Status level="warn" word={tr('Not open', '未打开')} /></>}</span></div>
					{archiving && edge(Math.max(0.3, share), tr(`archived to ${day(now.value - archiving.lag_seconds * 1000)}`, `已归档至 ${day(now.value - archiving.lag_seconds * 1000)}`), tr(`${span(archiving.lag_seconds)} behind, ${count(archiving.waiting_rows)} rows wait`, `落后 ${span(archiving.lag_seconds)}，等待 ${count(archiving.waiting_rows)} 行`), late)}
					{edge(0.62, tr(`hot: ${count(hot)} rows`, `热：${count(hot)} 行`), bytes(hotBytes))}
					<div class={'edge last' + (s.behind_seconds > 2 ? ' c-warn' : '')}><b class="nums">{tr(`applied ${count(s.applied)}`, `已应用 ${count(s.applied)}`)}</b><span class="nums">{tr(`${span(s.behind_seconds)} behind the end, ${count(waiting)} batches`, `落后末尾 ${span(s.behind_seconds)}，${count(waiting)} 批`)}</span></div>
				</div>
			</Twin>
			{j && <div class="row small wrap"><span class="mid">{tr('Journal', '预写日志')}</span><div class="grow"><Bullet value={j.bytes} limit={j.max_bytes * 0.8} label={tr(`journal ${bytes(j.bytes)} of ${bytes(j.max_bytes)}`, `预写日志 ${bytes(j.bytes)} / ${bytes(j.max_bytes)}`)} /></div><span class="nums">{bytes(j.bytes)} / {bytes(j.max_bytes)}</span><span class="dim">{tr('full: it refuses, and never forgets', '写满时拒绝写入，绝不丢弃')}</span></div>}
		</div>
	)
}

/** How long what is kept, and when the disk is full if it goes on like this. */
function Retention({ archiving: a }: { archiving: Archiving | undefined }) {
	const n = useInstants(queries('disk_free', 'disk_filling'), 30_000)
	const free = only(n.data?.disk_free), filling = only(n.data?.disk_filling)
	const full = free !== undefined && filling !== undefined && filling > 0 ? free / filling : undefined
	const kept = (s: number | undefined) => s === undefined ? absent : s === 0 ? tr('for ever', '永久') : span(s)
	return (
		<Card title={tr('Retention', '保留')}><div class="pad facts-row">
			{([[tr('Hot, once archived', '热数据（归档后）'), kept(a?.hot_ttl_seconds)], [tr('Cold', '冷数据'), kept(a?.cold_ttl_seconds)], [tr('Archived after', '归档延迟'), kept(a?.after_seconds)], [tr('Not archived yet', '未归档'), tr(`${count(a?.waiting_rows)} rows`, `${count(a?.waiting_rows)} 行`)], [tr('Disk free', '磁盘剩余'), bytes(free)],
				[tr('Full in', '写满时间'), full === undefined ? n.data ? tr('it is not filling', '未在增长') : absent : full > 31_536_000 ? tr('over a year', '一年以上') : span(full)]] as [string, string][]).map(([k, v], i) => <div><div class="label">{k}</div><div class={'nums' + (i === 5 && full !== undefined && full < 604_800 ? ' c-warn' : '')}><b>{v}</b></div></div>)}
		</div></Card>
	)
}

function Acts({ done }: { done: () => void }) {
	const archive = () => confirm({
		title: tr('Archive now?', '现在归档？'), says: tr('Rows older than 24 h are copied into the cold store. Nothing is removed from the hot one.', '24 小时前的数据将复制到冷存储，热存储不删除。'), act: tr('Archive', '归档'),
		go: async () => { const a = await send<{ operation_id?: string }>('POST', 'storage/cold/archive', { data_type: 'all', cutoff_hours: 24 }, { Prefer: 'respond-async' }); done(); return a.operation_id ? await finished(a.operation_id) : tr('Done', '完成') },
	})
	const clean = () => confirm({
		title: tr('Clean up the hot store?', '清理热存储？'), says: tr('Rows older than 72 h are removed from the hot store, those alone that the cold store has.', '删除热存储中 72 小时前且已归档的数据。'), act: tr('Clean up', '清理'), risk: true,
		go: async () => { const a = await send<{ operation_id?: string }>('POST', 'storage/lifecycle/cleanup', { retention_hours: 72 }, { Prefer: 'respond-async' }); done(); return a.operation_id ? await finished(a.operation_id) : tr('Done', '完成') },
	})
	return <><button class="btn" onClick={archive}><Icon name="archive" size={14} />{tr('Archive…', '归档…')}</button><button class="btn risk" onClick={clean}>{tr('Clean up…', '清理…')}</button></>
}

/** Follows an operation until it is over; says what it did. */
async function finished(id: string): Promise<string> {
	for (;;) {
		const { data: o } = await get<{ data: Operation }>('storage/operations/' + id)
		if (o.state !== 'queued' && o.state !== 'running') {
			if (o.error) throw new Error(o.error)
			return tr(`${count(o.rows)} rows, ${count(o.files)} files`, `${count(o.rows)} 行，${count(o.files)} 个文件`)
		}
		await new Promise(r => setTimeout(r, 500))
	}
}

/** Makes a table write again that the store has suspended. */
const resume = (table: string, done: () => void) => confirm({
	title: tr(`Resume ${table}?`, `恢复 ${table}？`), says: tr('Its writer tries again at once. Nothing is lost meanwhile: what waits is in the journal.', '写入器立即重试。期间没有数据丢失：等待的数据在预写日志中。'), act: tr('Resume', '恢复'),
	go: async () => { const a = await send<{ message: string }>('POST', `storage/tables/${encodeURIComponent(table)}/resume`, {}); done(); return `${table}: ${a.message}` },
})

function Writers({ shards, source, done, stats }: { shards: Shard[]; source: Resource<true>; done: () => void; stats: Stats | undefined }) {
	const n = useInstants(queries('writer_rows', 'writer_flush_p99'), 5000)
	const queue = (table: string) => stats?.data.tables.find(t => t.table === table)?.memory_rows
	const of = (name: 'writer_rows' | 'writer_flush_p99', table: string) => n.data?.[name]?.find(s => s.labels.table === table)?.points[0]?.[1]
	const rows = shards.flatMap(s => s.writers.map(w => ({ ...w, shard: s.shard, behind: s.behind_seconds })))
	const columns: Column<(typeof rows)[number]>[] = [
		{ key: 'table', title: tr('Table', '表'), fluid: true, cell: w => w.table, value: w => w.table },
		{ key: 'state', title: tr('State', '状态'), cell: w => <Status level={w.suspended || w.failures_in_row ? 'crit' : w.state === 'idle' || w.state === 'writing' ? 'ok' : 'warn'} word={w.suspended ? tr('Suspended', '已挂起') : w.failures_in_row ? tr('Failing', '失败') : w.state === 'writing' ? tr('Writing', '写入中') : tr('Idle', '空闲')} />, value: w => w.state },
		{ key: 'rows', title: tr('rows/s', '行/秒'), num: true, cell: w => rate(of('writer_rows', w.table)), value: w => of('writer_rows', w.table) },
		{ key: 'queue', title: tr('Queue', '队列'), num: true, cell: w => count(queue(w.table)), value: w => queue(w.table) },
		{ key: 'flush', title: tr('Flush p99', '刷写 p99'), num: true, cell: w => span(of('writer_flush_p99', w.table) ?? w.took_seconds), value: w => of('writer_flush_p99', w.table) ?? w.took_seconds },
		{ key: 'lag', title: tr('Lag', '落后'), num: true, cell: w => span(w.behind), value: w => w.behind },
		{ key: 'writes', title: tr('Writes', '写入'), num: true, far: true, cell: w => count(w.writes_total), value: w => w.writes_total },
		{ key: 'failures', title: tr('Failures', '失败'), num: true, cell: w => <span class={w.failures_total ? 'c-warn' : 'dim'}>{count(w.failures_total)}</span>, value: w => w.failures_total },
		{ key: 'at', title: tr('Last', '最近'), num: true, far: true, cell: w => <span title={exact(w.at)}>{w.writes_total ? span(Math.round(since(w.at, now.value))) : absent}</span>, value: w => w.at },
		...(rows.some(w => w.suspended || w.failures_in_row) ? [{ key: 'act', title: tr('Act', '操作'), cell: w => w.suspended || w.failures_in_row ? <button class="btn" onClick={() => resume(w.table, done)}>{tr('Resume…', '恢复…')}</button> : <span class="dim">{absent}</span>, value: () => null } satisfies Column<(typeof rows)[number]>] : []),
	]
	const [shown, tools] = useColumns('writers', columns, rows)
	return <Card title={tr('Writers', '写入器')} end={tools} undated><Shown of={source} what={tr('Storage', '存储')}>{() => rows.length === 0 ? <Empty title={tr('Nothing has been written yet', '尚未写入')}>{tr('A writer begins with the first record of its table.', '写入器随该表首条记录启动。')}</Empty> : <Table rows={rows} columns={shown} id={w => w.shard + w.table} label={tr('Writers', '写入器')} sortName="writers" height={430} />}</Shown></Card>
}

function Tables({ of, archiving }: { of: Resource<Stats>; archiving: Archiving | undefined }) {
	const d = of.data?.data
	const cold = (t: string) => d?.cold_tables.find(c => c.table === t)?.rows ?? 0
	const rows = d?.tables ?? []
	const columns: Column<Stats['data']['tables'][number]>[] = [
		{ key: 'table', title: tr('Table', '表'), fluid: true, cell: t => t.table, value: t => t.table }, { key: 'rows', title: tr('Hot rows', '热行数'), num: true, cell: t => count(t.rows), value: t => t.rows }, { key: 'bytes', title: tr('Size', '大小'), num: true, cell: t => bytes(t.bytes), value: t => t.bytes },
		{ key: 'parts', title: tr('Parts', '分段'), num: true, far: true, cell: t => count(t.parts), value: t => t.parts }, { key: 'memory', title: tr('In memory', '内存中'), num: true, far: true, cell: t => count(t.memory_rows), value: t => t.memory_rows },
		{ key: 'cold', title: tr('Cold rows', '冷行数'), num: true, cell: t => count(cold(t.table)), value: t => cold(t.table) },
	]
	const [shown, tools] = useColumns('tables', columns, rows)
	return (
		<Card title={tr('Tables', '表')} hint={archiving ? tr(`hot rows are kept ${span(archiving.hot_ttl_seconds)}, once archived`, `热数据归档后保留 ${span(archiving.hot_ttl_seconds)}`) : ''} end={tools} undated>
			<Shown of={of} what={tr('Storage', '存储')}>{() => <Table rows={rows} columns={shown} id={t => t.table} label={tr('Tables', '表')} sortName="tables" height={430} />}</Shown>
		</Card>
	)
}

const runLevel: Record<string, Level> = { succeeded: 'ok', failed: 'crit', running: 'work', queued: 'off', cancelled: 'off', interrupted: 'warn' }

export function runWord(state: string): string {
	switch (state) {
		case 'succeeded': return tr('Done', '完成')
		case 'failed': return tr('Failed', '失败')
		case 'running': return tr('Running', '运行中')
		case 'queued': return tr('Queued', '排队')
		case 'cancelled': return tr('Cancelled', '已取消')
	}
	return state.replaceAll('_', ' ')
}

/** The way of a run, in its order. */
const steps = ['queued', 'running', 'succeeded'] as const

/** Where a run is: queued, running, and how it ended. */
function Dots({ state }: { state: string }) {
	const at = state === 'queued' ? 0 : state === 'running' ? 1 : 2
	return <span class="dots" role="img" aria-label={runWord(state)}>{steps.map((_, i) => <i class={i < at ? 'past' : i === at ? 'l-' + (runLevel[state] ?? 'unknown') : ''} />)}</span>
}

const took = (o: Operation) => o.started ? (new Date(o.finished ?? now.value).getTime() - new Date(o.started).getTime()) / 1000 : undefined

function Runs({ archiving }: { archiving: Archiving | undefined }) {
	const runs = archiving?.operations ?? []
	const perSecond = (o: Operation) => { const t = took(o); return t && t > 0 && o.rows ? o.rows / t : undefined }
	const left = (o: Operation) => { const r = perSecond(o); return o.state === 'running' && r && o.rows_total > o.rows ? (o.rows_total - o.rows) / r : undefined }
	const columns: Column<Operation>[] = [
		{ key: 'began', title: tr('Began', '开始'), cell: o => <span class="nums" title={exact(o.started)}>{clock(o.started ?? o.created)}</span>, value: o => o.started ?? o.created },
		{ key: 'job', title: tr('Job', '任务'), fluid: true, cell: o => <>{o.job}{o.scheduled ? '' : <span class="dim"> {tr('by hand', '手动')}</span>}</>, value: o => o.job },
		{ key: 'state', title: tr('State', '状态'), cell: o => <span class="row" title={o.error}><Dots state={o.state} /><Status level={runLevel[o.state] ?? 'unknown'} word={runWord(o.state)} /></span>, value: o => o.state },
		{ key: 'rows', title: tr('Rows', '行数'), num: true, cell: o => <>{count(o.rows)}{o.rows_total > o.rows ? <span class="dim"> / {count(o.rows_total)}</span> : ''}</>, value: o => o.rows },
		{ key: 'speed', title: tr('rows/s', '行/秒'), num: true, far: true, cell: o => rate(perSecond(o)), value: o => perSecond(o) },
		{ key: 'took', title: tr('Took', '耗时'), num: true, cell: o => { const eta = left(o); return eta === undefined ? span(took(o)) : tr(`${span(Math.round(eta))} left`, `剩余 ${span(Math.round(eta))}`) }, value: o => took(o) },
	]
	const [shown, tools] = useColumns('operations', columns, runs)
	return (
		<Card title={tr('Archiving and cleaning', '归档与清理')} hint={archiving ? tr(`every ${span(archiving.interval_seconds)}`, `每 ${span(archiving.interval_seconds)}`) : ''} end={tools}>
			{runs.length === 0 ? <Empty title={tr('Nothing has run yet', '尚未运行')} /> : <Table rows={runs} columns={shown} id={o => o.operation_id} label={tr('Runs', '运行记录')} sortName="runs" first="-began" height={320} />}
		</Card>
	)
}

function Parts({ of }: { of: Resource<{ data: Part[] }> }) {
	const columns: Column<Part>[] = [
		{ key: 'table', title: tr('Table', '表'), fluid: true, cell: p => <span title={p.path}>{p.table}</span>, value: p => p.table }, { key: 'tier', title: tr('Tier', '层'), cell: p => p.tier === 'hot' ? tr('hot', '热') : tr('cold', '冷'), value: p => p.tier },
		{ key: 'from', title: tr('From', '起'), num: true, cell: p => day(p.min_time_ns / 1e6), value: p => p.min_time_ns }, { key: 'to', title: tr('To', '至'), num: true, far: true, cell: p => clock(p.max_time_ns / 1e6), value: p => p.max_time_ns },
		{ key: 'rows', title: tr('Rows', '行数'), num: true, cell: p => count(p.rows), value: p => p.rows }, { key: 'bytes', title: tr('Size', '大小'), num: true, cell: p => bytes(p.bytes), value: p => p.bytes },
	]
	const rows = of.data?.data ?? []
	const [shown, tools] = useColumns('parts', columns, rows)
	return <Card title={tr('Parts', '分段')} hint={of.data && tr(`${count(rows.length)} files`, `${count(rows.length)} 个文件`)} end={tools} undated><Shown of={of} what={tr('Storage', '存储')}>{() => rows.length === 0 ? <Empty title={tr('No files yet', '尚无文件')}>{tr('What was acknowledged is in the journal until the first part is written.', '首个分段写入前，已确认数据在预写日志中。')}</Empty> : <Table rows={rows} columns={shown} id={p => p.path} label={tr('Parts', '分段')} sortName="parts" first="-to" height={320} />}</Shown></Card>
}
