// Uses what the pages offer beside what they show: frozen moments, keys, pinned drawers,
// traces, columns, acts. Writes what it found as one JSON object.
//
// usage: node details.mjs MODULES URL CHROMIUM PICTURES
import { createRequire } from 'node:module'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const [, , modules, base, executablePath, pictures] = process.argv
const require = createRequire(join(modules, 'x.js'))
const { chromium } = require('playwright-core')
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const patience = 120_000

mkdirSync(pictures, { recursive: true })
const found = { faults: [], errors: [], violations: [], seen: {} }
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const context = await browser.newContext({ viewport: { width: 1600, height: 1000 }, locale: 'en-GB', reducedMotion: 'reduce', permissions: ['clipboard-read', 'clipboard-write'] })
const page = await context.newPage()
page.setDefaultTimeout(patience)
let step = ''
page.on('pageerror', e => found.errors.push(`${step}: ${e.message}`))
// What is not collected any more has no book: browsers call the answer an error.
page.on('console', m => { if (m.type() === 'error' && !(step === 'subscribe' && /status of 404/.test(m.text())) && !(step === 'states' && /status of 503/.test(m.text()))) found.errors.push(`${step}: ${m.text()}`) })

const api = async path => (await page.request.get(base + '/api/v1/' + path)).json()
const open = async path => {
	await page.goto(base + path)
	await page.waitForFunction(() => document.querySelector('.pill') && !document.querySelector('main [aria-busy="true"], main[aria-busy="true"]'))
}
/** Waits until f's answer is not empty. */
const until = async f => {
	for (const end = Date.now() + patience; ;) {
		const got = await f()
		if (got) return got
		if (Date.now() > end) throw new Error('it did not come')
		await page.waitForTimeout(200)
	}
}
const audit = async () => {
	await page.evaluate(axe)
	for (const v of (await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))).violations) found.violations.push(`${step}: ${v.id}: ${v.nodes[0].target.join(' ')}`)
}
const clipboard = () => page.evaluate(() => navigator.clipboard.readText())
const at = () => new URL(page.url()).searchParams.get('at')
const picture = name => page.screenshot({ path: join(pictures, name + '.png') })

const steps = {
	async keys() {
		await open('/?range=15m')
		await page.waitForSelector('.heat[role="slider"]')
		await page.keyboard.press('[')
		await until(at)
		const earlier = Date.now() - Date.parse(at())
		await page.keyboard.press('[')
		await until(() => Date.now() - Date.parse(at()) > earlier + 200_000)
		await page.keyboard.press('y')
		await until(async () => await clipboard() === page.url())
		await page.keyboard.press('.')
		await until(() => at() === null)
		await page.keyboard.press('v')
		await page.waitForSelector('[data-twin] td')
		await audit()
		found.seen.keys = { earlier: earlier > 200_000, tables: await page.locator('[data-twin]').count() }
		await page.keyboard.press('v')
	},
	async heat() {
		await page.waitForFunction(() => document.querySelectorAll('.lag .heat[role="slider"]').length >= 5)
		const strip = page.locator('.heat[role="slider"]').first()
		await strip.focus()
		const before = await strip.getAttribute('aria-valuenow')
		await page.keyboard.press('ArrowLeft')
		await page.waitForSelector('.heat-says')
		found.seen.heat = { before: Number(before), after: Number(await strip.getAttribute('aria-valuenow')), says: await page.textContent('.heat-says'), markets: await page.locator('.lag .heat[role="slider"]').count() }
	},
	async drawers() {
		await page.setViewportSize({ width: 2560, height: 1300 })
		await open('/actors?sel=' + encodeURIComponent('root/collector/binance-spot/BTC-USDT'))
		await page.waitForSelector('.drawer .cells')
		await page.click('.drawer button[aria-label="Pin"]')
		await page.click('.branch[role="row"]:has-text("scheduler")')
		await page.waitForFunction(() => document.querySelectorAll('.drawer').length === 2)
		const boxes = await page.locator('.drawer').evaluateAll(list => list.map(e => e.getBoundingClientRect().x))
		await picture('actors-two-drawers')
		await page.keyboard.press('Escape')
		await page.waitForFunction(() => document.querySelectorAll('.drawer').length === 1)
		found.seen.drawers = { beside: boxes[0] !== boxes[1], kept: await page.locator('.drawer h2').textContent() }
	},
	async trace() {
		await page.route(/\/trace\?seconds=10$/, route => route.continue({ url: route.request().url().replace('seconds=10', 'seconds=1') }))
		await page.click('.drawer button:has-text("Trace 10 s")')
		await page.waitForSelector('[data-trace]')
		const handled = Number(await page.getAttribute('[data-trace]', 'data-trace'))
		const rows = await page.locator('.traced tbody tr').count()
		await page.keyboard.press('r')
		await page.waitForSelector('dialog[open]:has-text("Restart BTC-USDT")')
		await page.keyboard.press('Escape')
		found.seen.trace = { handled, rows, kept: await page.locator('.drawer').count() }
	},
	async books() {
		await open('/market?exchange=binance&market=spot&symbol=BTC-USDT')
		await page.waitForFunction(() => document.querySelectorAll('.books [data-seq]').length === 4)
		await picture('market-2560')
		found.seen.books = await page.locator('.books [data-seq]').count()
		await page.setViewportSize({ width: 1600, height: 1000 })
	},
	async columns() {
		await open('/streams?view=table')
		await page.waitForSelector('th:has-text("Verified")')
		await page.click('summary[aria-label="Choose columns"]')
		await audit()
		await page.click('.menu-box label:has-text("Verified")')
		await page.waitForFunction(() => ![...document.querySelectorAll('th')].some(e => /Verified/.test(e.textContent)))
		await open('/streams?view=table')
		const gone = await page.locator('th:has-text("Verified")').count() === 0
		await page.click('button[aria-label="Copy the table"]')
		const text = await until(async () => { const t = await clipboard(); return t.includes('\t') && t })
		found.seen.columns = { gone, lines: text.split('\n').length, streams: (await api('collector/quality')).streams.length, head: text.split('\n')[0] }
	},
	async subscribe() {
		const name = 'ETH-USDT', id = 'okx/spot/' + name
		const there = async () => (await api('collector/quality')).streams.some(s => s.exchange === 'okx' && s.market === 'spot' && s.symbol === name)
		await open('/streams?sel=' + encodeURIComponent(id))
		await page.click('button:has-text("Backfill")')
		await page.click('dialog[open] button.main')
		await page.waitForSelector('.toast:has-text("Backfill")')
		await page.click('button:has-text("Unsubscribe")')
		await page.fill('dialog[open] input', name)
		await page.click('dialog[open] button.full')
		await until(async () => !await there())
		await page.click('button:has-text("Subscribe")')
		await audit()
		await page.selectOption('.sheet select', 'okx spot')
		await page.fill('.sheet input', name)
		await page.click('.sheet button.main')
		found.seen.subscribe = await until(there)
	},
	async schedule() {
		const task = (await api('scheduler/tasks')).data.find(t => t.name === 'cleanup_expired_data')
		await open('/scheduler?sel=' + encodeURIComponent(task.task_id))
		await page.click('.drawer button:has-text("Edit")')
		await page.fill('.edit input >> nth=0', '7 */2 * * *')
		await page.waitForSelector('[data-next="5"] li')
		await page.waitForFunction(() => /:07:00/.test(document.querySelector('[data-next]').textContent))
		await page.click('.edit button.main')
		await page.click('dialog[open] button.main')
		const now = await until(async () => { const t = (await api('scheduler/tasks/' + task.task_id)).data; return t.cron_expression !== task.cron_expression && t })
		found.seen.schedule = now.cron_expression
	},
	async rules() {
		await open('/alerts?tab=rules&sel=Watchdog')
		await page.click('.drawer button:has-text("Test")')
		await page.waitForSelector('[data-tested]')
		found.seen.rules = Number(await page.getAttribute('[data-tested]', 'data-tested'))
		await page.fill('.drawer form input.mono', 'not a matcher')
		await page.waitForSelector('.drawer form button:disabled')
		await open('/explore')
		await page.click('button:has-text("Alert from this")')
		await page.waitForSelector('[data-rule]')
		await audit()
		found.seen.rule = await page.textContent('[data-rule]')
	},
	async broker() {
		await open('/broker')
		const form = page.locator('form:has(button:has-text("Publish"))')
		const subject = 'market.details'
		await form.locator('input').first().fill(subject)
		await form.locator('button:has-text("Follow")').click()
		await page.waitForSelector('pre.text')
		// What is published before the follower is there is not for it: publish until it comes.
		await until(async () => {
			await form.locator('button:has-text("Publish")').click()
			await page.waitForTimeout(500)
			return /hello/.test(await page.textContent('pre.text'))
		})
		found.seen.broker = true
	},
	async storage() {
		await open('/storage')
		await page.waitForSelector('.edges .edge.last')
		found.seen.storage = await page.textContent('.edges')
	},
	async logs() {
		await open('/logs?q=http')
		await page.click('.logline >> nth=-1')
		await page.waitForSelector('[data-around]')
		await page.waitForSelector('[data-waterfall]')
		found.seen.logs = { around: Number(await page.getAttribute('[data-around]', 'data-around')), said: Number(await page.getAttribute('[data-waterfall]', 'data-waterfall')) }
	},
	/** A link with at= shows the market as storage has it then; without, it goes on. */
	async moment() {
		const path = 'storage/query/book_snapshot/binance/BTC-USDT?market=spot&decimals=string&limit=1&order='
		const one = async order => (await api(path + order)).data?.[0]
		const first = await until(() => one('asc'))
		const time = s => s.exchange_time_ns / 1e6
		await until(async () => time(await one('desc')) - time(first) > 9000)
		const moment = new Date(time(first) + 2000).toISOString()
		const want = (await api(path + 'desc&to=' + encodeURIComponent(new Date(Date.parse(moment) + 1).toISOString()))).data[0]
		await open(`/market?exchange=binance&market=spot&symbol=BTC-USDT&at=${moment}`)
		await page.waitForSelector('[data-frozen]')
		await page.waitForSelector('[data-state="stored"]')
		const shown = await page.locator('[data-state]').first().evaluate(e => [e.dataset.bid, e.dataset.ask])
		await picture('market-frozen')
		await page.keyboard.press('.')
		await page.waitForSelector('[data-state="live"]')
		found.seen.moment = { shown, want: [want.bids[0][0], want.asks[0][0]], over: at() === null && await page.locator('[data-frozen]').count() === 0 }
	},
	/** Services that refuse are said to, on every page; of what is not known nothing is made up. */
	async states() {
		const all = /\/api\/v1\/(?!monitoring\/ui\/live)/
		await page.route(all, r => r.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"detail":"it is away"}' }))
		const seen = []
		for (const path of ['/', '/market', '/storage', '/scheduler', '/alerts', '/logs']) {
			await page.goto(base + path)
			await page.waitForSelector('main [role="alert"]:has-text("it is away")')
			seen.push(path)
		}
		await audit()
		await picture('states-refused')
		await page.unroute(all)
		const hung = /\/api\/v1\//
		await page.route(hung, () => {})
		await page.goto(base + '/')
		await page.waitForFunction(() => document.querySelectorAll('main .bones').length >= 4)
		found.seen.states = { refused: seen.length, invented: await page.evaluate(() => document.querySelector('main').innerText.match(/Nothing \w+|\b0 \w+/g) ?? []) }
		await audit()
		await picture('states-waiting')
		await page.unroute(hung)
		await open('/')
	},
	async palette() {
		await page.keyboard.press('Control+k')
		await page.fill('.palette input', 'resync okx perpetual btc')
		await page.waitForSelector('.palette li:has-text("Resync book of okx")')
		await page.keyboard.press('Enter')
		await page.waitForSelector('dialog[open]:has-text("new snapshot")')
		found.seen.palette = true
	},
}

const only = process.env.STEPS?.split(',')
for (const [name, run] of Object.entries(steps)) {
	if (only && !only.includes(name)) continue
	step = name
	const begin = Date.now()
	try {
		await run()
	} catch (e) {
		found.faults.push(`${name}: ${e.message.split('\n').slice(0, 3).join(' ')}`)
		await picture('fault-' + name).catch(() => {})
	}
	if (process.env.STEPS) console.error(name, Date.now() - begin)
}
await browser.close()
console.log(JSON.stringify(found))
