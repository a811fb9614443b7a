import type { Line } from './tree'

/** The tree of another node, as its own monitoring tells it. */

export interface Nodes { nodes: { node: string; self: boolean; error?: string }[] }

interface Actor {
	id: string; order: number; kind: string; state: string; supervisor: boolean; rate: number; busy_ratio: number; started_at: string; backoff_until?: string; note?: string
	mailbox: { depth: number; capacity: number; wait_mean_seconds: number; wait_p99_seconds: number; oldest_seconds: number; dropped_total: number }
	restarts_total: number; failures_total: number; dead_letters_total: number; budget?: { restarts: number; left: number }; last_failure?: { time: string; reason: string }
}

export interface Elsewhere { actors: Actor[] }

/** The lines of a tree, as the live feed of this node has them. */
export function linesOf(tree: Elsewhere | undefined): Map<string, Line> {
	return new Map((tree?.actors ?? []).map(a => [a.id, {
		order: a.order, kind: a.kind, state: a.state, supervisor: a.supervisor, rate: a.rate, depth: a.mailbox.depth, capacity: a.mailbox.capacity,
		wait_seconds: a.mailbox.wait_mean_seconds, wait_p99_seconds: a.mailbox.wait_p99_seconds, oldest_seconds: a.mailbox.oldest_seconds, busy_ratio: a.busy_ratio,
		restarts: a.restarts_total, failures: a.failures_total, dead_letters: a.dead_letters_total, dropped: a.mailbox.dropped_total,
		started_at: a.started_at,
		...(a.budget ? { budget: a.budget.restarts, left: a.budget.left } : {}), ...(a.backoff_until ? { backoff_until: a.backoff_until } : {}),
		...(a.last_failure ? { failed_at: a.last_failure.time, reason: a.last_failure.reason } : {}), ...(a.note ? { note: a.note } : {}),
	}]))
}
