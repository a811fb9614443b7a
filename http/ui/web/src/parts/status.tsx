import { tr } from '../state/words'
import { Icon, type IconName } from './icon'

export type Level = 'ok' | 'work' | 'warn' | 'crit' | 'stale' | 'off' | 'unknown'

export const levelIcon: Record<Level, IconName> = {
	ok: 'circle-check', work: 'refresh-cw', warn: 'triangle-alert', crit: 'octagon-x', stale: 'timer-off', off: 'circle-minus', unknown: 'circle-dashed',
}

const order: Level[] = ['ok', 'off', 'unknown', 'work', 'stale', 'warn', 'crit']

const ranks = Object.fromEntries(order.map((l, i) => [l, i])) as Record<Level, number>

export const worse = (a: Level, b: Level): Level => (ranks[a] >= ranks[b] ? a : b)
export const rank = (l: Level): number => ranks[l]

/** Colour, icon and word, always all three. */
export function Status({ level, word }: { level: Level; word: string }) {
	return <span class={'status ' + level}><Icon name={levelIcon[level]} size={14} cls={level === 'work' ? 'spin' : ''} />{word}</span>
}

/** The icon alone, for trees and grids; its word is for readers. */
export function Mark({ level, word, size = 14 }: { level: Level; word: string; size?: number }) {
	return <Icon name={levelIcon[level]} size={size} label={word} cls={'c-' + level + (level === 'work' ? ' spin' : '')} />
}

/** What the services call their states, in this page's levels and words. */
export function serviceLevel(status: string, degraded: boolean): [Level, string] {
	if (status === 'healthy') return degraded ? ['warn', tr('Degraded', '降级')] : ['ok', tr('Healthy', '健康')]
	if (status === 'unreachable') return ['crit', tr('Unreachable', '不可达')]
	if (status === 'unhealthy') return ['crit', tr('Unhealthy', '异常')]
	return ['unknown', tr('Unknown', '未知')]
}

export function bookLevel(state: string | undefined): [Level, string] {
	switch (state) {
		case 'live': return ['ok', tr('Live', '实时')]
		case 'syncing': return ['work', tr('Syncing', '同步中')]
		case 'stored': return ['stale', tr('As stored', '历史')]
		case 'stale': return ['crit', tr('Stale', '陈旧')]
		case undefined: case '': case 'none': return ['off', tr('None', '无')]
	}
	return ['unknown', state]
}
