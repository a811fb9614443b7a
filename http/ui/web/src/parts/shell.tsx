import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { span } from '../state/format'
import { bind, keyOf } from '../state/keys'
import { Refusal, send } from '../state/api'
import { anonymous, leave, login } from '../state/login'
import { entries, frozen, heard, now, retryAt, standing, tryNow, value } from '../state/live'
import { freeze, past, step } from '../state/moment'
import { members, others, self } from '../state/nodes'
import { density, language, letterKeys, rising, theme, timeZone } from '../state/prefs'
import { href, page, pages, type Page } from '../state/route'
import { tr } from '../state/words'
import { Choice } from './choice'
import { Icon, type IconName } from './icon'
import { offered } from '../pages'
import { paletteOpen } from './palette'
import { toast } from './toast'
import { clock, day } from '../state/format'

export const pageIcon: Record<Page, IconName> = {
	overview: 'layout-dashboard', actors: 'list-tree', streams: 'activity', market: 'chart-candlestick', storage: 'database', broker: 'mails',
	scheduler: 'clock', cluster: 'server', alerts: 'bell', explore: 'chart-line', logs: 'scroll-text', config: 'sliders-horizontal',
}

export function pageWord(p: Page): string {
	switch (p) {
		case 'overview': return tr('Overview', '概览')
		case 'actors': return tr('Actors', 'Actor 树')
		case 'streams': return tr('Streams', '数据流')
		case 'market': return tr('Market', '行情')
		case 'storage': return tr('Storage', '存储')
		case 'broker': return tr('Broker', '消息代理')
		case 'scheduler': return tr('Scheduler', '调度')
		case 'cluster': return tr('Cluster', '集群')
		case 'alerts': return tr('Alerts', '告警')
		case 'explore': return tr('Explore', '指标查询')
		case 'logs': return tr('Logs', '日志')
		case 'config': return tr('Config', '配置')
	}
}

const groups: Page[][] = [['overview', 'actors', 'streams', 'market'], ['storage', 'broker', 'scheduler', 'cluster'], ['alerts', 'explore', 'logs', 'config']]

interface LiveAlert { severity: string }
interface Stats { actors_waiting_to_restart: number }
interface Service { status: string; degraded: boolean; details?: { version?: string } }

const serviceOf: Partial<Record<Page, string>> = { storage: 'data-storage-service', broker: 'message-broker-service', scheduler: 'scheduler-service', streams: 'market-data-collector' }

/** How many things of a page are not well, and how bad the worst is. */
function badge(p: Page): [number, 'crit' | 'warn'] | null {
	if (p === 'alerts') {
		const all = [...entries('alerts').values()] as LiveAlert[]
		return all.length ? [all.length, all.some(a => a.severity === 'critical') ? 'crit' : 'warn'] : null
	}
	if (p === 'actors') {
		const n = value<Stats>('overview', 'monitoring_stats')?.actors_waiting_to_restart ?? 0
		return n ? [n, 'warn'] : null
	}
	const s = serviceOf[p] && value<Service>('services', serviceOf[p]!)
	if (!s || (s.status === 'healthy' && !s.degraded)) return null
	return [1, s.status === 'healthy' ? 'warn' : 'crit']
}

export const menuShown = signal(false)

export function Rail() {
	const version = value<Service>('services', 'monitoring-service')?.details?.version
	return (
		<nav class={'rail' + (menuShown.value ? ' shown' : '')} aria-label={tr('Pages', '页面')}>
			<a class="brand" href="/" aria-label="MarketPrism"><svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true"><path d="M12 3 22 20H2Z" /><path class="c-work" d="M12 10 20 16" stroke="currentColor" /></svg><span class="word">MarketPrism</span></a>
			{groups.map((g, i) => (
				<>
					{i > 0 && <hr />}
					{g.filter(offered).map(p => {
						const b = badge(p)
						return (
							<a class="to" href={href(p)} aria-current={page.value === p ? 'page' : undefined} title={`${pageWord(p)} (${keyOf(p)})`} onClick={() => { menuShown.value = false }}>
								<Icon name={pageIcon[p]} /><span class="word">{pageWord(p)}</span>
								{b && <span class={'badge ' + b[1]} aria-label={tr(`${b[0]} unhealthy`, `${b[0]} 项异常`)}>{b[0]}</span>}
							</a>
						)
					})}
				</>
			))}
			<div class="foot small"><span class="row"><Icon name="server" size={14} cls="dim" /><span class="word clip">{self.value || location.hostname}</span></span><span class="word dim clip">{version}</span></div>
		</nav>
	)
}

function Pill() {
	if (frozen.value) return <button class="pill stale btn" onClick={() => freeze(0)}><Icon name="pause" size={14} /><b>{tr('Frozen', '已冻结')}</b> {clock(frozen.value)}</button>
	const age = heard.value ? (now.value - heard.value) / 1000 : 0
	switch (standing()) {
		case 'starting': return <span class="pill dim"><Icon name="circle-dashed" size={14} />{tr('Connecting', '连接中')}</span>
		case 'live': return <span class="pill" title={tr('Freeze with .', '按 . 冻结')}><span class="dot c-ok" /><b>{tr('Live', '实时')}</b> <span class="dim">{age.toFixed(1)}{'\u202f'}s</span></span>
	}
	return <span class="pill stale"><Icon name="timer-off" size={14} /><b>{heard.value ? tr(`${span(Math.round(age))} old`, `${span(Math.round(age))} 前`) : tr('Not connected', '未连接')}</b></span>
}

/** Who is logged in, and the way out. */
function Who() {
	const who = login.value
	if (!who) return null
	const out = () => send('POST', 'auth/logout', {}).then(leave, e => {
		if (e instanceof Refusal && e.status === 401) leave() // it is over already
		else toast('crit', tr('Not logged out', '未能退出登录'), e instanceof Error ? e.message : String(e))
	})
	return <button class="btn plain who" aria-label={tr(`Log out ${who.name}`, `退出 ${who.name}`)} title={tr(`${who.name}, ${who.role}: log out`, `${who.name}（${who.role}）：退出登录`)} onClick={out}><span class="word mid">{who.name}</span><Icon name="log-out" /></button>
}

export function Bar() {
	const p = page.value
	return (
		<header class="bar">
			<button class="btn plain burger" aria-label={tr('Menu', '菜单')} aria-expanded={menuShown.value} onClick={() => { menuShown.value = !menuShown.value }}><Icon name="menu" /></button>
			<h1>{p ? pageWord(p) : tr('No such page', '没有此页面')}</h1>
			{members.value > 1 && <a class="btn scope" href={href('cluster')}><span class="dim">{tr('Cluster', '集群')}</span> <b>{tr(`${members.value} nodes`, `${members.value} 个节点`)}</b></a>}
			{p === 'overview' && <Choice cls="scope" name="range" label={tr('Range', '范围')} of={[['', tr('1 hour', '1 小时')], ['15m', tr('15 min', '15 分钟')], ['6h', tr('6 hours', '6 小时')], ['24h', tr('24 hours', '24 小时')]]} />}
			{p === 'actors' && <Choice cls="scope" name="range" label={tr('Range', '范围')} of={[['', tr('15 min', '15 分钟')], ['5m', tr('5 min', '5 分钟')], ['1h', tr('1 hour', '1 小时')], ['6h', tr('6 hours', '6 小时')]]} />}
			<button class="btn search" onClick={() => { paletteOpen.value = true }}><Icon name="search" size={14} cls="dim" /><span class="mid">{tr('Jump to anything', '跳转到…')}</span><kbd>⌘K</kbd></button>
			<Pill />
			<Who />
			<button class="btn plain" aria-label={theme.value === 'dark' ? tr('Light theme', '浅色主题') : tr('Dark theme', '深色主题')} title={tr('Theme', '主题')} onClick={() => { theme.value = theme.value === 'dark' ? 'light' : 'dark' }}><Icon name={theme.value === 'dark' ? 'moon' : 'sun'} /></button>
			<button class="btn plain" aria-label={tr('切换到中文', 'EN: switch to English')} title={tr('Language', '语言')} lang={language.value === 'zh' ? 'en' : 'zh-CN'} onClick={() => { language.value = language.value === 'zh' ? 'en' : 'zh' }}>{language.value === 'zh' ? 'EN' : '中'}</button>
		</header>
	)
}

/** What the page must say of itself before anything else. */
export function Banner() {
	if (frozen.value) {
		const at = past.value ? day(frozen.value, true) : clock(frozen.value)
		return (
			<div class="verdict stale" data-frozen={frozen.value}><Icon name="history" size={20} cls="c-stale" />
				<div class="says"><b>{past.value ? tr(`As it was at ${at}`, `${at} 时的情况`) : tr(`Frozen at ${at}`, `冻结于 ${at}`)}</b><span class="mid">{past.value ? tr('Measurements, events, the market and logs are of that moment. What has no history says so.', '指标、事件、行情与日志均为该时刻；无历史的面板会注明。') : tr('Nothing here changes until you go on.', '继续之前，页面内容不会变化。')}</span></div>
				<button class="btn plain" aria-label={tr('Earlier', '更早')} title={tr('Earlier ([)', '更早（[）')} onClick={() => step(-1)}><Icon name="chevron-right" cls="turned" /></button><button class="btn plain" aria-label={tr('Later', '更晚')} title={tr('Later (])', '更晚（]）')} onClick={() => step(1)}><Icon name="chevron-right" /></button>
				<button class="btn" onClick={() => freeze(0)}>{tr('Go on', '继续')} <kbd>.</kbd></button></div>
		)
	}
	if (standing() !== 'old' || anonymous.value) return null
	const wait = Math.max(0, Math.ceil((retryAt.value - now.value) / 1000))
	const age = heard.value ? tr(`This view is ${span(Math.round((now.value - heard.value) / 1000))} old.`, `此视图已是 ${span(Math.round((now.value - heard.value) / 1000))} 前的数据。`) : tr('This view has no data yet.', '此视图尚无数据。')
	return (
		<div class="verdict stale" role="alert"><Icon name="timer-off" size={20} cls="c-stale" />
			<div class="says"><b>{age}</b><span class="mid">{tr(`The connection to ${location.host} broke; the platform may be fine. Trying again in ${wait} s.`, `与 ${location.host} 的连接中断，平台本身可能正常。${wait} 秒后重试。`)}</span></div>
			<button class="btn" onClick={tryNow}>{tr('Try now', '立即重试')}</button>{others.value.slice(0, 2).map(n => <a class="btn" href={n.url + location.pathname + location.search}>{tr(`Use ${n.id}`, `使用 ${n.id}`)}</a>)}</div>
	)
}

export const helpShown = signal(false)

export function Help() {
	const box = useRef<HTMLDialogElement>(null)
	useEffect(() => bind('?', () => { helpShown.value = true }), [])
	useEffect(() => { if (helpShown.value) box.current?.showModal() }, [helpShown.value])
	if (!helpShown.value) return null
	const close = () => { box.current?.close(); helpShown.value = false }
	const keys: [string, string][] = [
		['⌘K', tr('Jump to anything', '跳转到任意位置')], ['/', tr('Filter', '过滤')], ['j k', tr('Next and previous row', '下一行、上一行')], ['Enter', tr('Open', '打开')], ['Esc', tr('Close', '关闭')],
		['← →', tr('Fold and unfold', '折叠与展开')], ['n N', tr('Next and previous that is unhealthy', '下一个、上一个异常项')], ['.', tr('Freeze the page, and go on', '冻结页面 / 继续')], ['[ ]', tr('Earlier and later, frozen', '更早、更晚（冻结）')], ['v', tr('Charts as tables, and back', '图表与表格切换')], ['r', tr('Restart what is selected…', '重启所选…')], ['y', tr('Copy a link to what is shown', '复制当前视图链接')],
		...pages.map((p): [string, string] => [keyOf(p), pageWord(p)]),
	]
	const choice = <T extends string>(label: string, s: { value: T }, of: [T, string][]) => <label>{label}<select class="text" value={s.value} onChange={e => { s.value = e.currentTarget.value as T }}>{of.map(([v, word]) => <option value={v}>{word}</option>)}</select></label>
	return (
		<dialog ref={box} onCancel={close} aria-labelledby="help-title">
			<h2 id="help-title">{tr('Keys and preferences', '快捷键与偏好')}</h2>
			<dl class="facts">{keys.map(([k, v]) => <><dt><kbd>{k}</kbd></dt><dd>{v}</dd></>)}</dl>
			<div class="form">
				{choice(tr('Time zone', '时区'), timeZone, [['utc', 'UTC'], ['local', tr('Local', '本地')]])}
				{choice(tr('Rising is', '上涨颜色'), rising, [['green', tr('Green', '绿色')], ['red', tr('Red', '红色')], ['blue', tr('Blue, falling is orange', '蓝涨橙跌')]])}
				{choice(tr('Rows', '行高'), density, [['compact', tr('Compact', '紧凑')], ['comfortable', tr('Comfortable', '宽松')]])}
				{choice(tr('Keys of one letter', '单字母快捷键'), letterKeys, [['on', tr('On', '开')], ['off', tr('Off', '关')]])}
			</div>
			<div class="acts"><button class="btn" onClick={close}>{tr('Close', '关闭')} <kbd>Esc</kbd></button></div>
		</dialog>
	)
}
