// Opens pages of a dashboard that has very much to show, and writes what each took as one
// JSON object.
//
// usage: node scale.mjs MODULES URL CHROMIUM SECONDS PATH...
//
// Each path is opened, scrolled from top to bottom, and left to its updates for SECONDS while
// the browser traces what its main thread does; 0 traces nothing. Times are of the processor,
// not of the clock: others may be at work on this machine.
import { createRequire } from 'node:module'
import { readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [, , modules, base, executablePath, seconds, ...paths] = process.argv
const { chromium } = createRequire(join(modules, 'x.js'))('playwright-core')
const patience = 180_000

const found = { console: [], pages: [] }
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, locale: 'en-GB', reducedMotion: 'reduce' })

/** How many bytes of the live stream's first event came over the wire, and how many they are. */
async function counted(page) {
	const cdp = await context.newCDPSession(page)
	await cdp.send('Network.enable')
	const live = new Set()
	const size = { wire: 0, text: 0 }
	cdp.on('Network.requestWillBeSent', e => { if (e.request.url.includes('/ui/live')) live.add(e.requestId) })
	cdp.on('Network.dataReceived', e => { if (live.has(e.requestId)) { size.wire += e.encodedDataLength; size.text += e.dataLength } })
	return { cdp, size }
}

const rows = '[aria-rowindex], .logline'

/** Scrolls what scrolls to its end in steps of most of its height; says where it was blank. */
const scrolled = page => page.evaluate(async rows => {
	const frame = () => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))
	const boxes = [...document.querySelectorAll('main .scroll')].filter(b => b.scrollHeight > b.clientHeight + 20)
	const box = boxes.sort((a, b) => b.scrollHeight - a.scrollHeight)[0]
	if (!box) return { height: 0, steps: 0, blank: [], nodes: 0 }
	box.scrollIntoView({ block: 'end' })
	const blank = []
	let steps = 0, nodes = 0
	const most = box.scrollHeight, step = Math.max(box.clientHeight * 0.9, most / 40)
	for (let y = 0; ; y += step) {
		box.scrollTop = y
		await frame()
		steps++
		nodes = Math.max(nodes, document.querySelectorAll('*').length)
		const r = box.getBoundingClientRect()
		for (const part of [0.3, 0.5, 0.8]) {
			const at = r.top + box.clientHeight * part
			if (at < 0 || at >= innerHeight) continue
			const e = document.elementFromPoint(r.left + Math.min(r.width / 3, 200), at)
			if (!e?.closest(rows)) blank.push(`${Math.round(y)} of ${most}: ${e?.className}`)
		}
		if (y + box.clientHeight >= box.scrollHeight) break
	}
	box.scrollTop = 0
	await frame()
	return { height: most, steps, blank: blank.slice(0, 5), nodes }
}, rows)

/** What the palette asks for when somebody types the end of a name, and what it finds. */
async function sought(page) {
	const answers = []
	const taken = r => { if (/\/api\/v1\/(collector\/quality|monitoring\/actors)/.test(r.url())) answers.push(r.body().then(b => [new URL(r.url()).pathname, b.length], () => ['', 0])) }
	page.on('response', taken)
	await page.keyboard.press('Control+k')
	await page.waitForSelector('.palette input')
	answers.length = 0 // those of the page below
	await page.keyboard.type('099')
	await page.waitForFunction(() => [...document.querySelectorAll('.palette li')].some(l => /099-USDT/.test(l.textContent)))
	const places = await page.locator('.palette li').count()
	page.off('response', taken)
	const all = (await Promise.all(answers)).filter(a => /search|quality$/.test(a[0]))
	await page.keyboard.press('Escape')
	return { places, asked: all.length, bytes: all.reduce((n, a) => n + a[1], 0) }
}

/** What a trace says of the page's main thread: processor time of each frame in which
 * something was applied, of what came from the network, and tasks that were long. */
function judged(file) {
	const { traceEvents: all } = JSON.parse(readFileSync(file, 'utf8'))
	const mains = all.filter(e => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map(e => e.pid + '/' + e.tid)
	const by = new Map(mains.map(m => [m, []]))
	for (const e of all) if (e.name === 'RunTask' && e.ph === 'X') by.get(e.pid + '/' + e.tid)?.push(e)
	const [main, tasks] = [...by].sort((a, b) => b[1].reduce((n, e) => n + (e.tdur ?? 0), 0) - a[1].reduce((n, e) => n + (e.tdur ?? 0), 0))[0]
	const frames = all.filter(e => e.name === 'FireAnimationFrame' && e.pid + '/' + e.tid === main).map(e => e.ts)
	const inFrame = new Set(tasks.filter(t => frames.some(f => f >= t.ts && f <= t.ts + t.dur)))
	const spread = list => {
		const ms = list.map(t => (t.tdur ?? t.dur) / 1000).sort((a, b) => a - b)
		const at = p => Math.round((ms[Math.min(ms.length - 1, Math.floor(ms.length * p))] ?? 0) * 100) / 100
		return { count: ms.length, p50: at(0.5), p95: at(0.95), max: at(1) }
	}
	const begin = Math.min(...tasks.map(t => t.ts)), end = Math.max(...tasks.map(t => t.ts))
	return {
		frames: spread([...inFrame]), other: spread(tasks.filter(t => !inFrame.has(t) && (t.tdur ?? 0) > 500)),
		long: tasks.filter(t => (t.tdur ?? 0) > 50_000).length, busy: Math.round(tasks.reduce((n, t) => n + (t.tdur ?? 0), 0) / (end - begin) * 1000) / 1000,
	}
}

for (const path of paths) {
	const page = await context.newPage()
	page.setDefaultTimeout(patience)
	page.on('console', m => { if (m.type() === 'error') found.console.push(`${path}: ${m.text()} ${m.location().url ?? ''}`) })
	page.on('pageerror', e => found.console.push(`${path}: ${e.message}`))
	const { cdp, size } = await counted(page)
	const begin = Date.now()
	await page.goto(base + path)
	await page.waitForSelector('.rail')
	await page.waitForFunction(() => !document.querySelector('main [aria-busy="true"], main[aria-busy="true"]') && document.querySelector('.pill .dot'))
	if (/^\/(actors|streams)/.test(path)) await page.waitForSelector('main [aria-rowindex], main .heatcell')
	const one = { path, usable_ms: Date.now() - begin, trace: null, paint_ms: Math.round(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1)), first: { ...size } }
	one.scroll = await scrolled(page)
	one.says = await page.evaluate(() => document.querySelector('.filters .end > span:last-child')?.textContent ?? '')
	one.rows = await page.evaluate(() => Number(document.querySelector('main [aria-rowcount]')?.getAttribute('aria-rowcount') ?? 0) - 1)
	if (path === paths[0]) one.palette = await sought(page)
	if (Number(seconds) > 0) {
		const file = join(tmpdir(), `trace-${process.pid}.json`)
		const before = { ...size }
		await browser.startTracing(page, { path: file, categories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline'] })
		await page.waitForTimeout(Number(seconds) * 1000)
		await browser.stopTracing()
		one.trace = judged(file)
		one.per_second = { wire: Math.round((size.wire - before.wire) / Number(seconds)), text: Math.round((size.text - before.text) / Number(seconds)) }
		rmSync(file)
	}
	await cdp.send('HeapProfiler.collectGarbage')
	one.heap = (await cdp.send('Runtime.getHeapUsage')).usedSize
	one.nodes = await page.evaluate(() => document.querySelectorAll('*').length)
	found.pages.push(one)
	await page.close()
}
await browser.close()
console.log(JSON.stringify(found))
