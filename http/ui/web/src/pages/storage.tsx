import type { ComponentChildren } from 'preact'
import { confirm } from '../parts/confirm'
import { Icon } from '../parts/icon'
import { Bullet } from '../parts/marks'
import { Card, Empty, Shown } from '../parts/panel'
import { Status, type Level } from '../parts/status'
import { Copy, Table, type Column } from '../parts/table'
import { get, send } from '../state/api'
import { absent, bytes, clock, count, day, exact, rate, since, span } from '../state/format'
import { entries, faults, heard, now } from '../state/live'
import { useInstants } from '../state/promql'
import { queries } from '../state/queries'
import { useResource, type Resource } from '../state/resource'
import { tr } from '../state/words'

interface Shard { shard: number; state: string; applied: number; position: number; behind_seconds: number; published_to: number; waiting: boolean; writers: Writer[]; journal?: { first: number; last: number; lag: number; bytes: number; max_bytes: number } }
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
	const source: Resource<true> = { data: shards.length ? true : undefined, at: heard.value, error: faults.value.storage, status: 0, next: 0, asked: heard.value || Date.now(), retry: () => {} }
	return (
		<main id="main" tabIndex={-1}>
			{banner}
			<Card title={tr('Where everything is', '数据在哪里')} hint={tr('one bar for each shard of the journal: cold, hot, not yet queryable', '每个分片一条：冷、热、尚不可查')} end={<Acts done={stats.retry} />}>
				<Shown of={source} what={tr('Storage', '存储')}>{() => <div class="pad stack">{shards.map(s => <Line key={s.shard} shard={s} archiving={archiving} stats={stats.data} />)}</div>}</Shown>
			</Card>
			<div class="half"><Writers shards={shards} source={source} /><Tables of={stats} archiving={archiving} /></div>
			<div class="half"><Runs archiving={archiving} /><Parts of={parts} /></div>
		</main>
	)
}

function Line({ shard: s, archiving, stats }: { shard: Shard; archiving: Archiving | undefined; stats: Stats | undefined }) {
	const j = s.journal
	const hot = stats?.data.tables.reduce((n, t) => n + t.rows, 0) ?? 0
	const cold = stats?.data.cold_tables.reduce((n, t) => n + t.rows, 0) ?? 0
	const waiting = j ? Math.max(0, j.last - s.applied) : 0
	const whole = hot + cold || 1
	const fault = s.state !== 'reading'
	return (
		<div class="stack">
			<div class="row"><b>{tr(`Shard ${s.shard}`, `分片 ${s.shard}`)}</b><Status level={fault ? 'crit' : 'ok'} word={fault ? s.state : tr('Reading', '读取中')} /><span class="grow" /><span class="small mid nums">{tr(`${span(s.behind_seconds)} behind the journal's end, ${count(j?.last)}`, `落后预写日志末尾 ${span(s.behind_seconds)}，位置 ${count(j?.last)}`)}</span></div>
			<div class="pipe" role="img" aria-label={tr(`${count(cold)} rows cold, ${count(hot)} hot, ${waiting} batches waiting`, `冷 ${count(cold)} 行，热 ${count(hot)} 行，等待 ${waiting} 批`)}><i class="h1" style={{ flex: Math.max(0.02, cold / whole) }} /><i class="h3" style={{ flex: Math.max(0.05, hot / whole) }} /><i class="h4" style={{ flex: Math.max(0.01, Math.min(0.2, waiting / 1000)) }} /></div>
			<div class="row small mid nums wrap"><span class="grow">{tr(`cold: ${count(cold)} rows`, `冷：${count(cold)} 行`)}{archiving?.cold && !archiving.cold.open && <> <Status level="warn" word={tr('Not open', '未打开')} /></>}</span><span class="grow">{archiving ? tr(`archived to ${day(Date.now() - archiving.lag_seconds * 1000)}; ${count(archiving.waiting_rows)} rows wait`, `已归档至 ${day(Date.now() - archiving.lag_seconds * 1000)}；等待 ${count(archiving.waiting_rows)} 行`) : absent}</span><span>{tr(`hot: ${count(hot)} rows`, `热：${count(hot)} 行`)}</span></div>
			{j && <div class="row small"><span class="mid">{tr('Journal', '预写日志')}</span><div class="grow"><Bullet value={j.bytes} limit={j.max_bytes * 0.8} label={tr(`journal ${bytes(j.bytes)} of ${bytes(j.max_bytes)}`, `预写日志 ${bytes(j.bytes)} / ${bytes(j.max_bytes)}`)} /></div><span class="nums">{bytes(j.bytes)} / {bytes(j.max_bytes)}</span><span class="dim">{tr('full: it refuses, and never forgets', '写满时拒绝写入，绝不丢弃')}</span></div>}
		</div>
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

function Writers({ shards, source }: { shards: Shard[]; source: Resource<true> }) {
	const n = useInstants(queries('writer_rows', 'writer_queue', 'writer_flush_p99'), 5000)
	const of = (name: 'writer_rows' | 'writer_queue' | 'writer_flush_p99', table: string) => n.data?.[name]?.find(s => s.labels.table === table)?.points[0]?.[1]
	const rows = shards.flatMap(s => s.writers.map(w => ({ ...w, shard: s.shard })))
	const columns: Column<(typeof rows)[number]>[] = [
		{ key: 'table', title: tr('Table', '表'), fluid: true, cell: w => w.table, value: w => w.table },
		{ key: 'state', title: tr('State', '状态'), cell: w => <Status level={w.suspended || w.failures_in_row ? 'crit' : w.state === 'idle' || w.state === 'writing' ? 'ok' : 'warn'} word={w.suspended ? tr('Suspended', '已挂起') : w.failures_in_row ? tr('Failing', '失败') : w.state === 'writing' ? tr('Writing', '写入中') : tr('Idle', '空闲')} />, value: w => w.state },
		{ key: 'rows', title: tr('rows/s', '行/秒'), num: true, cell: w => rate(of('writer_rows', w.table)), value: w => of('writer_rows', w.table) },
		{ key: 'flush', title: tr('Took', '耗时'), num: true, cell: w => span(w.took_seconds), value: w => w.took_seconds },
		{ key: 'writes', title: tr('Writes', '写入'), num: true, far: true, cell: w => count(w.writes_total), value: w => w.writes_total },
		{ key: 'failures', title: tr('Failures', '失败'), num: true, cell: w => <span class={w.failures_total ? 'c-warn' : 'dim'}>{count(w.failures_total)}</span>, value: w => w.failures_total },
		{ key: 'at', title: tr('Last', '最近'), num: true, far: true, cell: w => <span title={exact(w.at)}>{w.writes_total ? span(Math.round(since(w.at, now.value))) : absent}</span>, value: w => w.at },
	]
	return <Card title={tr('Writers', '写入器')} end={<Copy rows={rows} columns={columns} />}><Shown of={source} what={tr('Storage', '存储')}>{() => <Table rows={rows} columns={columns} id={w => w.shard + w.table} label={tr('Writers', '写入器')} sortName="writers" height={430} />}</Shown></Card>
}

function Tables({ of, archiving }: { of: Resource<Stats>; archiving: Archiving | undefined }) {
	return (
		<Card title={tr('Tables', '表')} hint={archiving ? tr(`hot rows are kept ${span(archiving.hot_ttl_seconds)}, once archived`, `热数据归档后保留 ${span(archiving.hot_ttl_seconds)}`) : ''}>
			<Shown of={of} what={tr('Storage', '存储')}>{({ data: d }) => {
				const columns: Column<Stats['data']['tables'][number]>[] = [
					{ key: 'table', title: tr('Table', '表'), fluid: true, cell: t => t.table, value: t => t.table }, { key: 'rows', title: tr('Hot rows', '热行数'), num: true, cell: t => count(t.rows), value: t => t.rows }, { key: 'bytes', title: tr('Size', '大小'), num: true, cell: t => bytes(t.bytes), value: t => t.bytes },
					{ key: 'parts', title: tr('Parts', '分段'), num: true, far: true, cell: t => count(t.parts), value: t => t.parts }, { key: 'memory', title: tr('In memory', '内存中'), num: true, far: true, cell: t => count(t.memory_rows), value: t => t.memory_rows },
					{ key: 'cold', title: tr('Cold rows', '冷行数'), num: true, cell: t => count(d.cold_tables.find(c => c.table === t.table)?.rows ?? 0), value: t => d.cold_tables.find(c => c.table === t.table)?.rows ?? 0 },
				]
				return <Table rows={d.tables} columns={columns} id={t => t.table} label={tr('Tables', '表')} sortName="tables" height={430} />
			}}</Shown>
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

function Runs({ archiving }: { archiving: Archiving | undefined }) {
	const runs = archiving?.operations ?? []
	return (
		<Card title={tr('Archiving and cleaning', '归档与清理')} hint={archiving ? tr(`every ${span(archiving.interval_seconds)}`, `每 ${span(archiving.interval_seconds)}`) : ''}>
			{runs.length === 0 ? <Empty title={tr('Nothing has run yet', '尚未运行')} /> : <div class="scroll" style={{ maxHeight: '320px' }} tabIndex={0} role="region" aria-label={tr('Runs', '运行记录')}><table class="t"><thead><tr><th>{tr('Began', '开始')}</th><th>{tr('Job', '任务')}</th><th>{tr('State', '状态')}</th><th class="num">{tr('Rows', '行数')}</th><th class="num">{tr('Took', '耗时')}</th></tr></thead>
				<tbody>{runs.map(o => <tr key={o.operation_id}><td class="nums" title={exact(o.started)}>{clock(o.started ?? o.created)}</td><td>{o.job}{o.scheduled ? '' : ' *'}</td><td title={o.error}><Status level={runLevel[o.state] ?? 'unknown'} word={runWord(o.state)} /></td><td class="num">{count(o.rows)}{o.rows_total > o.rows ? ' / ' + count(o.rows_total) : ''}</td><td class="num">{o.started && o.finished ? span((new Date(o.finished).getTime() - new Date(o.started).getTime()) / 1000) : absent}</td></tr>)}</tbody></table></div>}
		</Card>
	)
}

function Parts({ of }: { of: Resource<{ data: Part[] }> }) {
	const columns: Column<Part>[] = [
		{ key: 'table', title: tr('Table', '表'), fluid: true, cell: p => <span title={p.path}>{p.table}</span>, value: p => p.table }, { key: 'tier', title: tr('Tier', '层'), cell: p => p.tier === 'hot' ? tr('hot', '热') : tr('cold', '冷'), value: p => p.tier },
		{ key: 'from', title: tr('From', '起'), num: true, cell: p => day(p.min_time_ns / 1e6), value: p => p.min_time_ns }, { key: 'to', title: tr('To', '至'), num: true, far: true, cell: p => clock(p.max_time_ns / 1e6), value: p => p.max_time_ns },
		{ key: 'rows', title: tr('Rows', '行数'), num: true, cell: p => count(p.rows), value: p => p.rows }, { key: 'bytes', title: tr('Size', '大小'), num: true, cell: p => bytes(p.bytes), value: p => p.bytes },
	]
	return <Card title={tr('Parts', '分段')} hint={of.data && tr(`${count(of.data.data.length)} files`, `${count(of.data.data.length)} 个文件`)}><Shown of={of} what={tr('Storage', '存储')}>{d => d.data.length === 0 ? <Empty title={tr('No files yet', '尚无文件')}>{tr('What was acknowledged is in the journal until the first part is written.', '首个分段写入前，已确认数据在预写日志中。')}</Empty> : <Table rows={d.data} columns={columns} id={p => p.path} label={tr('Parts', '分段')} sortName="parts" first="-to" height={320} />}</Shown></Card>
}
