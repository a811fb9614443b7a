import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Choice } from '../parts/choice'
import { useColumns } from '../parts/columns'
import { confirm } from '../parts/confirm'
import { Icon } from '../parts/icon'
import { Bullet } from '../parts/marks'
import { Card, Empty, Shown } from '../parts/panel'
import { Status } from '../parts/status'
import { Table, type Column } from '../parts/table'
import { refused, toast } from '../parts/toast'
import { follow, send } from '../state/api'
import { absent, bytes, clock, count, exact, rate, since, span } from '../state/format'
import { now } from '../state/moment'
import { only, useInstants } from '../state/promql'
import { queries } from '../state/queries'
import { useResource } from '../state/resource'
import { param, set } from '../state/route'
import { Tabs } from '../parts/marks'
import { plural, tr } from '../state/words'

interface Stream { name: string; subjects: string[]; messages: number; bytes: number; max_bytes: number; first_seq: number; last_seq: number; consumer_count: number; discard: string; retention: string; replicas: number; internal: boolean; last_time?: string }
interface Consumer { stream: string; name: string; pending: number; unacknowledged: number; redelivered: number; waiting_requests: number; ack_wait_seconds: number; durable: boolean; filter_subjects?: string[] }
interface Stats { message_stats: { published: number; consumed: number; errors: number; start_time: string }; jetstream: { storage: number; max_storage: number }; server: { connections: number; subscriptions: number; slow_consumers: number; version: string }; streams: { name: string; consumers: Consumer[] }[]; dead_letters: number }
interface Letter { id: number; time?: string; died_at?: string; created_at?: string; subject: string; stream: string; consumer: string; reason: string; deliveries: number; error?: string }

export function Broker({ banner }: { banner: ComponentChildren }) {
	const stats = useResource<Stats>('broker/stats', 3000)
	const streams = useResource<{ streams: Stream[] }>('broker/streams', 3000)
	const letters = useResource<{ dead_letters: Letter[]; total: number }>('broker/dlq?limit=200', 5000)
	const n = useInstants(queries('broker_in', 'broker_out'), 5000)
	const consumers = stats.data?.streams.flatMap(s => s.consumers) ?? []
	const all = param('internal') === 'yes'
	const columns: Column<Stream>[] = [
		{ key: 'name', title: tr('Stream', '流'), cell: s => <>{s.name} {s.internal && <span class="dim small">{tr('internal', '内部')}</span>}</>, value: s => s.name },
		{ key: 'subjects', title: tr('Subjects', '主题'), fluid: true, far: true, cell: s => <span class="mono dim" title={s.subjects.join(' ')}>{s.subjects.join(' ')}</span>, value: s => s.subjects.join(' ') },
		{ key: 'messages', title: tr('Messages', '消息'), num: true, cell: s => count(s.messages), value: s => s.messages },
		{ key: 'bytes', title: tr('Size', '大小'), num: true, cell: s => bytes(s.bytes), value: s => s.bytes },
		{ key: 'of', title: tr('Of its limit', '占上限'), cell: s => s.max_bytes > 0 ? <div style={{ width: '90px' }}><Bullet value={s.bytes} limit={s.max_bytes * 0.8} label={tr(`${bytes(s.bytes)} of ${bytes(s.max_bytes)}`, `${bytes(s.bytes)} / ${bytes(s.max_bytes)}`)} /></div> : <span class="dim">{tr('no limit', '无上限')}</span>, value: s => s.max_bytes > 0 ? s.bytes / s.max_bytes : null },
		{ key: 'seq', title: tr('First–last', '首–末'), num: true, far: true, cell: s => <span class="dim">{count(s.first_seq)}–{count(s.last_seq)}</span>, value: s => s.last_seq },
		{ key: 'consumers', title: tr('Consumers', '消费者'), num: true, cell: s => count(s.consumer_count), value: s => s.consumer_count },
		{ key: 'full', title: tr('When full', '写满时'), far: true, cell: s => s.discard === 'new' ? tr('refuses', '拒绝') : tr('forgets the oldest', '丢弃最旧'), value: s => s.discard },
	]
	const lag: Column<Consumer>[] = [
		{ key: 'name', title: tr('Consumer', '消费者'), fluid: true, cell: c => <>{c.name} <span class="dim">{c.stream}</span></>, value: c => c.name },
		{ key: 'pending', title: tr('Pending', '待取'), num: true, cell: c => <span class={c.pending > 10_000 ? 'c-warn' : ''}>{count(c.pending)}</span>, value: c => c.pending },
		{ key: 'unacked', title: tr('Not acknowledged', '未确认'), num: true, cell: c => count(c.unacknowledged), value: c => c.unacknowledged },
		{ key: 'again', title: tr('Redelivered', '重投'), num: true, cell: c => <span class={c.redelivered ? 'c-warn' : 'dim'}>{count(c.redelivered)}</span>, value: c => c.redelivered },
		{ key: 'wait', title: tr('Ack wait', '确认时限'), num: true, far: true, cell: c => c.ack_wait_seconds ? span(c.ack_wait_seconds) : absent, value: c => c.ack_wait_seconds },
	]
	const shown = streams.data?.streams.filter(s => all || !s.internal || s.name.startsWith('JOURNAL')) ?? []
	const [streamColumns, streamTools] = useColumns('broker-streams', columns, shown)
	const [consumerColumns, consumerTools] = useColumns('consumers', lag, consumers)
	return (
		<main id="main" tabIndex={-1}>
			{banner}
			<div class="filters"><Tabs label={tr('Streams', '流')} value={all ? 'all' : 'own'} of={[['own', tr('Streams', '流')], ['all', tr('With internal ones', '含内部流')]] as const} pick={v => set({ internal: v === 'all' ? 'yes' : undefined })} />
				<span class="end nums"><span>{tr('in', '入')} <b>{rate(only(n.data?.broker_in))}</b>/s</span><span>{tr('out', '出')} <b>{rate(only(n.data?.broker_out))}</b>/s</span><span><b>{count(stats.data?.server.connections)}</b> {tr('connections', '连接')}</span>{(stats.data?.server.slow_consumers ?? 0) > 0 && <span class="c-warn"><b>{count(stats.data?.server.slow_consumers)}</b> {tr('slow consumers', '慢消费者')}</span>}<span>{stats.data ? <Status level="ok" word={'NATS ' + stats.data.server.version} /> : stats.error ? <Status level="crit" word={tr('Not available', '不可用')} /> : ''}</span></span></div>
			<Card title={tr('Streams', '流')} end={streamTools} undated><Shown of={streams} what={tr('The broker', '消息代理')}>{() => <Table rows={shown} columns={streamColumns} id={s => s.name} label={tr('Streams', '流')} sortName="streams" height={420} />}</Shown></Card>
			<div class="half">
				<Card title={tr('Consumers', '消费者')} hint={tr('who is not keeping up', '谁跟不上')} end={consumerTools} undated><Shown of={stats} what={tr('The broker', '消息代理')}>{() => consumers.length === 0 ? <Empty title={tr('Nobody consumes', '没有消费者')} /> : <Table rows={consumers} columns={consumerColumns} id={c => c.stream + c.name} label={tr('Consumers', '消费者')} sortName="consumers" first="-pending" height={320} />}</Shown></Card>
				<Letters of={letters} />
			</div>
			<TryIt />
		</main>
	)
}

function Letters({ of }: { of: ReturnType<typeof useResource<{ dead_letters: Letter[]; total: number }>> }) {
	const [peeked, peek] = useState('')
	const all = of.data?.dead_letters ?? []
	const stream = param('stream'), consumer = param('consumer')
	const rows = all.filter(l => (!stream || l.stream === stream) && (!consumer || l.consumer === consumer))
	const distinct = (key: 'stream' | 'consumer') => [['', tr('All', '全部')] as const, ...[...new Set(all.map(l => l[key]))].sort().map(v => [v, v] as const)]
	const replay = (l: Letter) => confirm({ title: tr(`Replay dead letter ${l.id}?`, `重放死信 ${l.id}？`), says: tr(`Its message is published to ${l.subject} again; whoever takes it there has it twice.`, `消息将再次发布到 ${l.subject}，消费者可能收到两次。`), act: tr('Replay', '重放'), go: async () => { await send('POST', `broker/dlq/${l.id}/replay`); of.retry(); return l.subject } })
	const replayAll = () => confirm({
		title: tr(`Replay ${rows.length} dead ${plural(rows.length, 'letter', 'letters')}?`, `重放 ${rows.length} 条死信？`),
		says: tr(`Those of ${stream || 'every stream'} that ${consumer || 'any consumer'} gave up are published again where they were, at most 1000; whoever took one already has it twice.`, `将 ${consumer || '任意消费者'} 放弃的 ${stream || '全部流'} 的消息按原主题再次发布，至多 1000 条；已处理者会收到两次。`), act: tr(`Replay ${rows.length}`, `重放 ${rows.length} 条`), name: rows.length > 1 ? 'replay' : undefined,
		go: async () => {
			const q = new URLSearchParams({ limit: '1000', ...(stream ? { stream } : {}), ...(consumer ? { consumer } : {}) })
			const a = await send<{ replayed?: number; count?: number }>('POST', 'broker/dlq/replay?' + q.toString())
			of.retry()
			return tr(`${count(a.replayed ?? a.count)} published again`, `已再次发布 ${count(a.replayed ?? a.count)} 条`)
		},
	})
	const columns: Column<Letter>[] = [
		{ key: 'subject', title: tr('Subject', '主题'), fluid: true, cell: l => <span class="mono" title={l.subject}>{l.subject}</span>, value: l => l.subject },
		{ key: 'reason', title: tr('Reason', '原因'), cell: l => <span title={l.error}>{l.reason.replaceAll('_', ' ')}</span>, value: l => l.reason },
		{ key: 'tries', title: tr('Tries', '次数'), num: true, cell: l => count(l.deliveries), value: l => l.deliveries },
		{ key: 'age', title: tr('Age', '年龄'), num: true, cell: l => <span title={exact(diedAt(l))}>{diedAt(l) ? span(Math.round(since(diedAt(l)!, now.value))) : absent}</span>, value: l => diedAt(l) },
		{ key: 'consumer', title: tr('Gave up', '放弃者'), far: true, cell: l => <span class="dim clip">{l.consumer}</span>, value: l => l.consumer },
		{ key: 'act', title: tr('Act', '操作'), cell: l => <span class="row"><button class="btn plain" aria-label={tr(`Peek at ${l.id}`, `查看 ${l.id}`)} title={tr('Peek', '查看')} aria-expanded={peeked === String(l.id)} onClick={() => peek(peeked === String(l.id) ? '' : String(l.id))}><Icon name="eye" size={14} /></button><button class="btn" onClick={() => replay(l)}>{tr('Replay…', '重放…')}</button></span>, value: () => null },
	]
	const [shown, tools] = useColumns('letters', columns, rows)
	return (
		<Card title={tr('Dead letters', '死信')} hint={of.data && count(of.data.total)} end={<>{all.length > 0 && <><Choice name="stream" label={tr('Stream', '流')} of={distinct('stream')} cls="far" /><Choice name="consumer" label={tr('Consumer', '消费者')} of={distinct('consumer')} cls="far" /><button class="btn" disabled={rows.length === 0} onClick={replayAll}>{tr(`Replay ${rows.length}…`, `重放 ${rows.length} 条…`)}</button></>}{tools}</>} undated>
			<Shown of={of} what={tr('The broker', '消息代理')}>{() => rows.length === 0 ? <Empty title={tr('No dead letters', '没有死信')}>{tr('Every message that was taken was also handled.', '所有被取走的消息均已处理。')}</Empty>
				: <><Table rows={rows} columns={shown} id={l => String(l.id)} label={tr('Dead letters', '死信')} sortName="letters" first="-age" height={300} selected={peeked} />{peeked && <Peek id={peeked} />}</>}</Shown>
		</Card>
	)
}

const diedAt = (l: Letter) => l.died_at ?? l.time ?? l.created_at

/** One dead letter with its message, which stays where it is. */
function Peek({ id }: { id: string }) {
	const one = useResource<Record<string, unknown>>('broker/dlq/' + encodeURIComponent(id), 0)
	return <div class="pad"><Shown of={one} what={tr('The broker', '消息代理')}>{d => <pre class="text" tabIndex={0}>{JSON.stringify(d, null, 2)}</pre>}</Shown></div>
}

function TryIt() {
	const [subject, setSubject] = useState('market.example')
	const [text, setText] = useState('{"hello": "world"}')
	const [tail, setTail] = useState('')
	const [lines, setLines] = useState<{ at: number; data: string }[]>([])
	const running = useRef<AbortController | null>(null)
	useEffect(() => () => running.current?.abort(), [])
	const publish = async (e: Event) => {
		e.preventDefault()
		let message: unknown = text
		try { message = JSON.parse(text) } catch { /* plain text is a message too */ }
		try {
			const a = await send<{ stream?: string; seq?: number }>('POST', 'broker/publish', { subject, message })
			toast('ok', tr('Published', '已发布'), a.stream ? `${a.stream} ${a.seq}` : tr('no stream takes this subject', '没有流接收此主题'))
		} catch (err) { refused(tr('The broker refused it', '消息代理拒绝'), err) }
	}
	const start = () => {
		running.current?.abort()
		if (tail === subject) { setTail(''); return }
		const mine = new AbortController()
		running.current = mine
		setTail(subject)
		setLines([])
		follow('broker/subscribe?subject=' + encodeURIComponent(subject), mine.signal, h => setLines(l => [...l.slice(-99), { at: Date.now(), data: h.data }])).catch(err => { if (!mine.signal.aborted) { setTail(''); refused(tr('The broker stopped sending', '消息代理停止发送'), err) } })
	}
	return (
		<Card title={tr('Try it', '试一试')} hint={tr('publish a message, or follow a subject', '发布消息或跟踪主题')}>
			<form class="pad stack" onSubmit={publish}>
				<div class="row wrap"><label class="row grow"><span class="dim small">{tr('Subject', '主题')}</span><input class="text mono" value={subject} onInput={e => setSubject(e.currentTarget.value)} /></label><label class="row grow"><span class="dim small">{tr('Message', '消息')}</span><input class="text mono" value={text} onInput={e => setText(e.currentTarget.value)} /></label><button class="btn main" type="submit">{tr('Publish', '发布')}</button><button class="btn" type="button" onClick={start}>{tail === subject && tail ? tr('Stop following', '停止跟踪') : tr('Follow', '跟踪')}</button></div>
				{tail && <pre class="text" tabIndex={0}>{lines.length === 0 ? tr(`Waiting for ${tail}…`, `等待 ${tail}…`) : lines.map(l => clock(l.at) + ' ' + l.data).join('\n')}</pre>}
			</form>
		</Card>
	)
}
