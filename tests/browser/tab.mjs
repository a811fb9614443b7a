// Opens one page after the other and leaves each alone for a while, as somebody does who has
// it on a second screen. Writes a line when a page is live, and when its time is over.
//
// usage: node tab.mjs MODULES URL CHROMIUM SECONDS PATH...
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [, , modules, base, executablePath, seconds, ...paths] = process.argv
const { chromium } = createRequire(join(modules, 'x.js'))('playwright-core')
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, locale: 'en-GB', reducedMotion: 'reduce' })
for (const path of paths) {
	const page = await context.newPage()
	page.setDefaultTimeout(180_000)
	await page.goto(base + path)
	await page.waitForSelector('.pill .dot')
	await page.waitForTimeout(2000) // what a page asks once is not what it costs
	console.log('live ' + path)
	await page.waitForTimeout(Number(seconds) * 1000)
	console.log('over ' + path)
	await page.close()
}
await browser.close()
