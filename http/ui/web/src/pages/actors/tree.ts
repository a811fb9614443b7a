import type { Level } from '../../parts/status'
import { worse } from '../../parts/status'
import { tr } from '../../state/words'
import { shortName } from './event_line'

/** One actor as the live tree tells of it. */
export interface Line {
	order: number; kind: string; state: string; supervisor?: boolean; rate: number; depth: number; capacity: number; wait_seconds: number; wait_p99_seconds: number
	oldest_seconds?: number; busy_ratio: number; restarts: number; failures: number; dead_letters?: number; dropped?: number; budget?: number; left?: number
	started_at: string; backoff_until?: string; failed_at?: string; reason?: string; note?: string
}

export interface Row extends Line { id: string; parent: string; name: string; depthIn: number; children: number; below: number; level: Level; word: string; worst: Level }

/** What a mailbox may wait before it is said to be late, in seconds. */
export const waitLimit = 0.1
/** For how long a recovery is shown, in seconds. */
const recovery = 60

export function levelOf(l: Line, now: number): [Level, string] {
	if (l.backoff_until) {
		const left = Math.max(0, new Date(l.backoff_until).getTime() - now)
		return ['warn', tr(`backoff ${Math.ceil(left)} ms`, `退避 ${Math.ceil(left)} ms`)]
	}
	switch (l.state) {
		case 'failed': return ['crit', tr('failed', '失败')]
		case 'backoff': return ['warn', tr('backoff', '退避')]
		case 'starting': return ['work', tr('starting', '启动中')]
		case 'stopping': return ['off', tr('stopping', '停止中')]
		case 'stopped': return ['off', tr('stopped', '已停止')]
		case 'escalated': return ['crit', tr('escalated', '已上报')]
	}
	if (l.left !== undefined && l.budget && l.left <= 0) return ['crit', tr('restarts spent', '重启次数用尽')]
	if (l.failed_at && now - new Date(l.failed_at).getTime() < recovery * 1000) return ['work', tr('recovered', '已恢复')]
	if (l.wait_p99_seconds > waitLimit && l.depth > 0) return ['warn', tr('waits', '排队')]
	return ['ok', tr('running', '运行中')]
}

export const parentOf = (id: string) => id.slice(0, Math.max(0, id.lastIndexOf('/')))

/** The tree as rows in start order, with what stands below each. Parents come before their
 * children; an id may hold a slash inside a name, so the nearest ancestor that exists counts. */
export function rowsOf(lines: Map<string, Line>, now: number): Row[] {
	const all = [...lines].sort((a, b) => a[1].order - b[1].order)
	const rows = new Map<string, Row>()
	for (const [id, l] of all) {
		let parent = parentOf(id)
		while (parent && !rows.has(parent)) parent = parentOf(parent)
		const above = rows.get(parent)
		const [level, word] = levelOf(l, now)
		if (above) above.children++
		rows.set(id, { ...l, id, parent, name: parent ? id.slice(parent.length + 1) : shortName(id), depthIn: above ? above.depthIn + 1 : 0, children: 0, below: 0, level, word, worst: level })
	}
	const list = [...rows.values()]
	for (let i = list.length - 1; i >= 0; i--) {
		const r = list[i]!
		const above = rows.get(r.parent)
		if (above) {
			above.worst = worse(above.worst, r.worst)
			above.below += r.below + 1
		}
	}
	return inOrder(list)
}

/** Depth first, whatever order the actors were started in. */
function inOrder(list: Row[]): Row[] {
	const children = new Map<string, Row[]>()
	for (const r of list) {
		const of = children.get(r.parent)
		if (of && r.depthIn > 0) of.push(r)
		else if (r.depthIn > 0) children.set(r.parent, [r])
	}
	const out: Row[] = []
	const walk = (r: Row) => {
		out.push(r)
		for (const c of children.get(r.id) ?? []) walk(c)
	}
	for (const r of list) if (r.depthIn === 0) walk(r)
	return out
}
