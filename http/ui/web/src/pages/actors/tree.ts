import { rank, type Level } from '../../parts/status'
import { tr } from '../../state/words'
import { shortName } from './event_line'

/** One actor as the live tree tells of it: what is 0 is left out. */
export interface Line {
	order: number; kind: string; state: string; supervisor?: boolean; rate?: number; depth?: number; capacity?: number; wait_seconds?: number; wait_p99_seconds?: number
	oldest_seconds?: number; busy_ratio?: number; restarts?: number; failures?: number; dead_letters?: number; dropped?: number; budget?: number; left?: number
	started_at: string; backoff_until?: string; failed_at?: string; reason?: string; note?: string
}

type Zeros = 'rate' | 'depth' | 'capacity' | 'wait_seconds' | 'wait_p99_seconds' | 'busy_ratio' | 'restarts' | 'failures'

export interface Row extends Omit<Line, Zeros>, Record<Zeros, number> { line: Line; id: string; parent: string; name: string; depthIn: number; children: number; below: number; level: Level; word: string; worst: Level }

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
	if ((l.wait_p99_seconds ?? 0) > waitLimit && l.depth) return ['warn', tr('waits', '排队')]
	return ['ok', tr('running', '运行中')]
}

export const parentOf = (id: string) => id.slice(0, Math.max(0, id.lastIndexOf('/')))

const zeros: Record<Zeros, number> = { rate: 0, depth: 0, capacity: 0, wait_seconds: 0, wait_p99_seconds: 0, busy_ratio: 0, restarts: 0, failures: 0 }

function rowOf(l: Line, now: number, id: string, parent: string, depthIn: number, children: number, below: number): Row {
	const [level, word] = levelOf(l, now)
	return { ...zeros, ...l, line: l, id, parent, name: parent ? id.slice(parent.length + 1) : shortName(id), depthIn, children, below, level, word, worst: level }
}

/** The last minute of an actor's rates, one a second; all of them turn at once. */
const minute = 60

/** The tree as rows, depth first, siblings in start order, with what stands below each. It
 * is kept: of 20,000 actors only those of which something else was said are made again. */
export class Forest {
	rows: Row[] = []
	/** The place of each row's parent; -1 for the topmost. */
	private above = new Int32Array(0)
	private places = new Map<string, number>()
	private pasts: (Float32Array | undefined)[] = []
	private turn = 0
	private noted = 0
	private lang = ''

	/** Takes what was said. The rows are a new array when anything of them is another. */
	take(lines: Map<string, Line>, now: number, lang: string): Row[] {
		const all = lang !== this.lang
		this.lang = lang
		if (!this.refresh(lines, now, all)) this.rebuild(lines, now)
		this.note(now)
		return this.rows
	}

	get(id: string): Row | undefined {
		const i = this.places.get(id)
		return i === undefined ? undefined : this.rows[i]
	}

	/** The last minute of rates, oldest first. */
	past(id: string): number[] {
		const ring = this.pasts[this.places.get(id) ?? -1]
		if (!ring) return []
		return Array.from({ length: minute }, (_, i) => ring[(this.turn + 1 + i) % minute]!).filter(v => !Number.isNaN(v))
	}

	/** Makes those again of which something else was said; false when others came or went. */
	private refresh(lines: Map<string, Line>, now: number, all: boolean): boolean {
		if (lines.size !== this.rows.length) return false
		const rows = this.rows
		let next: Row[] | undefined
		for (let i = 0; i < rows.length; i++) {
			const r = rows[i]!
			const l = lines.get(r.id)
			if (!l || l.order !== r.order) return false
			if (l === r.line && !all && !l.backoff_until && !l.failed_at) continue
			next ??= rows.slice()
			next[i] = rowOf(l, now, r.id, r.parent, r.depthIn, r.children, r.below)
		}
		if (next) {
			this.rows = next
			this.sumUp()
		}
		return true
	}

	/** The worst below each; what stands below comes later in the list. */
	private sumUp() {
		const { rows, above } = this
		for (const r of rows) r.worst = r.level
		for (let i = rows.length - 1; i >= 0; i--) {
			const up = rows[above[i]!]
			if (up && rank(rows[i]!.worst) > rank(up.worst)) up.worst = rows[i]!.worst
		}
	}

	/** Parents come before their children; an id may hold a slash inside a name, so the
	 * nearest ancestor that exists counts. */
	private rebuild(lines: Map<string, Line>, now: number) {
		const sorted = [...lines].sort((a, b) => a[1].order - b[1].order)
		const made = new Map<string, Row>()
		const children = new Map<string, Row[]>()
		const top: Row[] = []
		for (const [id, l] of sorted) {
			let parent = parentOf(id)
			while (parent && !made.has(parent)) parent = parentOf(parent)
			const above = made.get(parent)
			const r = rowOf(l, now, id, parent, above ? above.depthIn + 1 : 0, 0, 0)
			made.set(id, r)
			if (!above) top.push(r)
			else if (above.children++) children.get(parent)!.push(r)
			else children.set(parent, [r])
		}
		const before = this.places, pasts = this.pasts
		this.rows = []
		this.places = new Map()
		this.pasts = []
		this.above = new Int32Array(made.size)
		const walk = (r: Row) => {
			const at = this.rows.length
			this.above[at] = this.places.get(r.parent) ?? -1
			this.places.set(r.id, at)
			this.pasts.push(pasts[before.get(r.id) ?? -1])
			this.rows.push(r)
			for (const c of children.get(r.id) ?? []) walk(c)
			r.below = this.rows.length - at - 1
		}
		for (const r of top) walk(r)
		this.sumUp()
	}

	/** Notes the rates once a second, of those that have had any. */
	private note(now: number) {
		const second = Math.floor(now / 1000)
		if (second === this.noted) return
		this.noted = second
		this.turn = (this.turn + 1) % minute
		for (let i = 0; i < this.rows.length; i++) {
			const rate = this.rows[i]!.rate
			const ring = this.pasts[i] ?? (rate ? (this.pasts[i] = new Float32Array(minute).fill(NaN)) : undefined)
			if (ring) ring[this.turn] = rate
		}
	}
}
