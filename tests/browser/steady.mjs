// Leaves pages of the dashboard open, each in a tab of its own, and measures their memory
// once a minute, after a garbage collection. Writes one JSON object.
//
// usage: node steady.mjs MODULES URL CHROMIUM MINUTES PATH...
//
// An actor is restarted each minute meanwhile, so that something happens.
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [, , modules, base, executablePath, minutes, ...paths] = process.argv
const { chromium } = createRequire(join(modules, 'x.js'))('playwright-core')

const found = { console: [], pages: [] }
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const tabs = []
for (const path of paths) {
	// A browser has six connections to a server, and each visible page keeps one or two: every
	// page is in a browser of its own.
	const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, locale: 'en-GB' })
	const page = await context.newPage()
	page.setDefaultTimeout(180_000)
	page.on('console', m => { if (m.type() === 'error') found.console.push(`${path}: ${m.text()} ${m.location().url ?? ''}`) })
	page.on('pageerror', e => found.console.push(`${path}: ${e.message}`))
	await page.goto(base + path)
	await page.waitForSelector('.pill .dot')
	const cdp = await context.newCDPSession(page)
	await cdp.send('Performance.enable')
	const one = { path, heap: [], nodes: [], listeners: [], live: 0 }
	found.pages.push(one)
	tabs.push({ page, cdp, one })
}

async function measure({ cdp, one }) {
	await cdp.send('HeapProfiler.collectGarbage')
	const { metrics } = await cdp.send('Performance.getMetrics')
	const of = name => metrics.find(m => m.name === name).value
	one.heap.push((await cdp.send('Runtime.getHeapUsage')).usedSize)
	one.nodes.push(of('Nodes'))
	one.listeners.push(of('JSEventListeners'))
}

const tree = await (await tabs[0].page.request.get(base + '/api/v1/actors/tree')).json()
const streams = tree.actors.filter(a => a.kind === 'stream').map(a => a.id)
for (let minute = 0; minute <= Number(minutes); minute++) {
	for (const t of tabs) await measure(t)
	console.error(`after ${minute} min: ` + tabs.map(({ one: o }) => `${o.path.split('?')[0]} ${(o.heap.at(-1) / 2 ** 20).toFixed(1)} MB, ${o.nodes.at(-1)} elements, ${o.listeners.at(-1)} listeners`).join('; '))
	if (minute === Number(minutes)) break
	if (streams.length) await tabs[0].page.request.post(`${base}/api/v1/actors/${encodeURIComponent(streams[minute % streams.length])}/restart`, { data: { reason: 'something happens' } })
	await tabs[0].page.waitForTimeout(60_000)
	for (const t of tabs) t.one.live += await t.page.evaluate(() => document.querySelector('.pill .dot') ? 1 : 0) // live, still
}
await browser.close()
console.log(JSON.stringify(found))
