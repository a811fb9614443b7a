// Walks every page of the dashboard as a person would, in both themes and both languages,
// and writes what it found as one JSON object.
//
// usage: node walk.mjs MODULES URL CHROMIUM PICTURES
//        node walk.mjs MODULES URL CHROMIUM PICTURES NODE PID OTHER
//
// MODULES is the folder of node modules; pictures of every page go into PICTURES. The second
// form is for several nodes: URL is one's, NODE the name of another that is process PID and is
// killed, and OTHER the URL of a third.
import { createRequire } from 'node:module'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const [, , modules, base, executablePath, pictures, victim, pid, other] = process.argv
const require = createRequire(join(modules, 'x.js'))
const { chromium } = require('playwright-core')
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const patience = 120_000

const pages = ['/', '/actors', '/streams', '/market', '/storage', '/broker', '/scheduler', '/cluster', '/alerts', '/explore', '/logs', '/config']
const found = { console: [], foreign: [], violations: [], faults: [], words: {}, pages: 0, paint_ms: 0, market: {}, kill: {}, cluster: {}, narrow: [] }

mkdirSync(pictures, { recursive: true })
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, locale: 'en-GB', colorScheme: 'dark', reducedMotion: 'reduce' })
const page = await context.newPage()
page.setDefaultTimeout(patience)
let where = ''
page.on('console', m => { if (m.type() === 'error') found.console.push(`${where}: ${m.text()} ${m.location().url ?? ''}`) })
page.on('pageerror', e => found.console.push(`${where}: ${e.message}`))
page.on('request', r => { const u = r.url(); if (!u.startsWith(base) && !(other && u.startsWith(other)) && !u.startsWith('data:') && !u.startsWith('blob:')) found.foreign.push(`${where}: ${u}`) })

const books = new Map() // what the interface answered, by sequence
page.on('response', async r => {
	if (!r.url().includes('/collector/orderbook/') || !r.url().includes('depth=400') || r.status() !== 200) return
	const b = await r.json().catch(() => null) // a page that is left takes its answers along
	if (b) books.set(String(b.sequence), [b.bids[0]?.price, b.asks[0]?.price])
})

/** Waits until a page has shown what it shows. */
async function settled() {
	await page.waitForFunction(() => !document.querySelector('main [aria-busy="true"], main[aria-busy="true"]') && document.querySelector('.pill .dot'), null, { timeout: patience })
}

async function audit() {
	await page.evaluate(axe)
	const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
	for (const v of result.violations) found.violations.push(`${where}: ${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map(n => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).join(' | ')}`)
}

const picture = name => page.screenshot({ path: join(pictures, name + '.png') })
const name = path => (path === '/' ? 'overview' : path.slice(1))

async function walk() {
	const begin = Date.now()
	await page.goto(base + '/')
	await page.waitForSelector('.rail')
	found.paint_ms = Math.round(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1))
	found.loaded_ms = Date.now() - begin
	for (const path of pages) {
		where = path
		await page.click(`.rail a.to[href="${path}"]`)
		await page.waitForFunction(p => location.pathname === p, path)
		await settled()
		const titles = {}
		const switchTheme = () => page.click('.bar button:nth-last-child(2)')
		for (const theme of ['dark', 'light']) {
			where = `${path} ${theme}`
			if (await page.evaluate(() => document.documentElement.dataset.theme) !== theme) await switchTheme()
			if (theme === 'dark' || !victim) await audit() // of several nodes: English by night, Chinese by day
			await picture(`${name(path)}-${theme}`)
		}
		titles.en = await page.textContent('.bar h1')
		await page.click('.bar button:last-child')
		where = `${path} zh`
		await page.waitForFunction(() => document.documentElement.lang === 'zh-CN')
		titles.zh = await page.textContent('.bar h1')
		await audit()
		await picture(`${name(path)}-zh`)
		await page.click('.bar button:last-child')
		await switchTheme()
		await widths(path)
		found.words[path] = titles
		found.pages++
	}
}

const sizes = [[390, 844], [720, 500], [2560, 1440]] // a telephone, 1440 at 200 %, a wide screen

/** Nothing stands out of the page, however wide it is. */
async function widths(path) {
	for (const [width, height] of sizes) {
		where = `${path} ${width}`
		await page.setViewportSize({ width, height })
		await page.evaluate(() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r))))
		const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
		if (over > 0) found.narrow.push(`${where}: ${over} pixels too wide`)
		if (path === '/' || path === '/actors' || path === '/cluster') await picture(`${name(path)}-${width}`)
	}
	await page.setViewportSize({ width: 1440, height: 1000 })
}

/** What the market page shows is what the interface answers. */
async function market() {
	where = '/market numbers'
	await page.goto(base + '/market?exchange=binance&market=spot&symbol=BTC-USDT')
	await settled()
	await page.waitForSelector('[data-seq]')
	await page.waitForSelector('[data-trade]')
	await page.waitForFunction(() => document.querySelectorAll('[data-trade]').length >= 10)
	const shown = await page.evaluate(() => ({
		trades: [...document.querySelectorAll('[data-trade]')].map(e => [e.dataset.trade, e.dataset.price, e.dataset.amount]),
		seq: document.querySelector('[data-seq]').dataset.seq, bid: document.querySelector('[data-seq]').dataset.bid, ask: document.querySelector('[data-seq]').dataset.ask,
	}))
	const answer = await (await page.request.get(base + '/api/v1/collector/trades/binance/BTC-USDT?market=spot&limit=200&decimals=string')).json()
	const by = new Map(answer.trades.map(t => [t.id, t]))
	const common = shown.trades.filter(t => by.has(t[0]))
	// A book of both sides, candles that are drawn (the library's canvas is not empty), and their last close.
	await page.waitForFunction(() => [...document.querySelectorAll('.chart canvas')].some(c => c.width > 100))
	await page.waitForFunction(() => Number(document.querySelector('.ohlc')?.dataset.close) > 0)
	const full = await page.evaluate(() => ({
		rungs: [...document.querySelectorAll('.books [data-seq] .bar-side')].filter(e => Number(e.querySelectorAll('.num')[0].textContent) > 0).length,
		sides: ['up', 'down'].map(s => document.querySelectorAll('.books [data-seq] .sumbar.' + s).length), depth: document.querySelectorAll('svg.depth path[d^="M"]').length,
		close: Number(document.querySelector('.ohlc').dataset.close), proof: document.querySelectorAll('.proof i').length,
	}))
	const candles = (await (await page.request.get(base + '/api/v1/storage/candles/binance/BTC-USDT?market=spot&interval=1m&limit=300&decimals=string')).json()).data
	found.market = {
		...full, candles: candles.length, inside: candles.some(c => Number(c.low) <= full.close && full.close <= Number(c.high)), trades: common.length, wrong: common.filter(t => by.get(t[0]).price !== t[1] || by.get(t[0]).amount !== t[2]), book_known: books.has(shown.seq), book: [shown.bid, shown.ask], book_answered: books.get(shown.seq) ?? null }
}

/** An actor is killed from the page: the tree shows that it failed, waits, is started again and
 * is back, what that cost its supervisor, and says so once. */
async function kill() {
	where = '/actors kill'
	const id = 'root/collector/binance-spot/BTC-USDT'
	const ask = async path => (await page.request.get(base + '/api/v1/actors/' + path)).json()
	await page.goto(base + '/actors?sel=' + encodeURIComponent(id))
	await settled()
	await page.waitForSelector('.drawer .cells')
	const before = await ask(encodeURIComponent(id))
	const told = (await ask('events?limit=10000')).last_seq
	// What is said while it is down, and right after, is over soon: it is written down as it comes.
	await page.evaluate(() => {
		const said = window.said = { rows: [], words: [], toasts: [] }
		const note = (list, what) => { if (what && list.at(-1) !== what) list.push(what) }
		const look = () => {
			note(said.rows, [...document.querySelector('.branch[aria-selected="true"]')?.classList ?? []].find(c => c.startsWith('l-')))
			note(said.words, document.querySelector('.drawer .status')?.textContent.trim())
			for (const t of document.querySelectorAll('.toast')) note(said.toasts, t.textContent)
		}
		new MutationObserver(look).observe(document.body, { subtree: true, attributes: true, childList: true, characterData: true })
		look()
	})
	await page.click('.drawer button:has-text("Kill")')
	await page.waitForSelector('dialog[open]')
	await audit()
	await page.fill('dialog[open] input', 'shown to the walker')
	await page.click('dialog[open] button.full')
	await page.waitForSelector('.lane-line .mark.c-crit[aria-label*="BTC-USDT"]')
	await page.waitForSelector('.lane-line .mark.c-work[aria-label*="BTC-USDT"]')
	await page.waitForFunction(() => window.said.words.includes('recovered') && window.said.toasts.some(t => /BTC-USDT is live again/.test(t)))
	await page.waitForSelector('.drawer .pips .used')
	await page.waitForSelector('.drawer b:has-text("killed by hand: shown to the walker")')
	await page.waitForSelector('.drawer .timeline .cut')
	const after = await ask(encodeURIComponent(id))
	const events = (await ask(`events?limit=10000&after=${told}&actor=${encodeURIComponent(id)}`)).events.map(e => e.event)
	await picture('actors-killed')
	await audit()
	found.kill = { before: before.incarnation, after: after.incarnation, state: after.state, reason: after.last_failure?.reason ?? '', events, rows: await page.evaluate(() => window.said.rows), hatched: await page.locator('.lane-line .seg.backoff').count() }
}

/** What the page says of each node, by name. */
const cards = () => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.nodes .card')].map(c => [c.querySelector('h2')?.firstChild?.textContent.trim(), c.querySelector('.status')?.textContent.trim()])))

/** A node is killed: the page says so, its streams go to those that are left, and the page is
 * the same at another node. */
async function lose() {
	where = '/cluster'
	await page.goto(base + '/cluster')
	await page.waitForFunction(() => [...document.querySelectorAll('.nodes .status')].filter(s => s.textContent.trim() === 'Up').length === 3)
	const before = await (await page.request.get(base + '/api/v1/cluster')).json()
	found.cluster = { before: await cards(), leases: before.leases.map(l => l.holder), owned: before.placement.owners.filter(o => o.node === victim).length, streams: before.placement.streams }
	await picture('cluster-three')
	where = `/cluster without ${victim}`
	process.kill(Number(pid), 'SIGKILL')
	await page.waitForFunction(name => { const c = [...document.querySelectorAll('.nodes .card')].find(c => c.querySelector('h2')?.textContent.startsWith(name)); return !c || c.querySelector('.status')?.textContent.trim() === 'Unreachable' }, victim)
	found.cluster.seen = (await cards())[victim] ?? 'gone'
	await picture('cluster-lost')
	await page.waitForFunction(async name => {
		const v = await (await fetch('/api/v1/cluster')).json()
		return v.placement.owners.length === v.placement.streams && v.placement.owners.every(o => o.node !== name && o.state === 'settled')
	}, victim, { polling: 500 })
	await page.waitForFunction(name => [...document.querySelectorAll('main table tr')].some(r => [...r.cells].some(c => c.textContent.trim() === name)), victim) // among the moves
	found.cluster.moves = await page.evaluate(name => [...document.querySelectorAll('main table tr')].filter(r => [...r.cells].some(c => c.textContent.trim() === name)).length, victim)
	await picture('cluster-taken-over')
	where = 'at another node'
	await page.goto(other + '/streams?view=table')
	await page.waitForFunction(n => document.querySelector('table.t')?.getAttribute('aria-rowcount') === String(n + 1), found.cluster.streams)
	await page.waitForFunction(n => document.querySelector('.filters .end b')?.textContent.trim() === String(n), found.cluster.streams) // live
	await page.goto(other + '/cluster')
	await page.waitForFunction(() => [...document.querySelectorAll('.nodes .status')].filter(s => s.textContent.trim() === 'Up').length === 2)
	found.cluster.other = await cards()
	await settled()
	await audit()
	await picture('cluster-other')
}

for (const step of victim ? [walk, lose] : [walk, market, kill]) {
	try {
		await step()
	} catch (e) {
		found.faults.push(`${where}: ${e.message.split('\n')[0]}`)
	}
}
await browser.close()
console.log(JSON.stringify(found))
