import type { Level } from '../../parts/status'
import { span } from '../../state/format'
import { tr } from '../../state/words'

export interface Failure { time: string; reason: string; message?: string; stack?: string; incarnation?: number }
export interface ActorEvent { seq: number; time: string; event: string; id: string; parent?: string; kind: string; exchange?: string; delay_seconds?: number; left?: number; failure?: Failure }

export interface Told { id: string; name: string; time: string; level: Level; word: string; fact: string }

export const shortName = (id: string) => id.replace(/^root\//, '')

/** What an event means to a person; null for those that nobody needs to be told of. */
export function eventLine(e: ActorEvent): Told | null {
	const line = (level: Level, word: string, fact = ''): Told => ({ id: e.id, name: shortName(e.id), time: e.time, level, word, fact })
	switch (e.event) {
		case 'failed': return line('crit', tr('failed', '失败'), e.left !== undefined ? tr(`${e.left} left`, `剩 ${e.left}`) : '')
		case 'backoff': return line('warn', tr('waits to be restarted', '等待重启'), span(e.delay_seconds))
		case 'restarted': case 'restarting': return line('work', tr('was restarted', '已重启'))
		case 'escalated': return line('crit', tr('spent its restarts; its parent decides', '重启次数用尽，交由上级'))
		case 'abandoned': return line('crit', tr('did not stop and was left behind', '未能停止，已放弃'))
	}
	return null
}
