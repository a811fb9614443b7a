// Logs in to the dashboard of a node that wants to know who asks, as a person would, and
// writes what it found as one JSON object.
//
// usage: node login.mjs MODULES URL CHROMIUM USER PASSWORD
//
// URL is the monitoring service's, which sends browsers to the gateway.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const [, , modules, base, executablePath, user, password] = process.argv
const require = createRequire(join(modules, 'x.js'))
const { chromium } = require('playwright-core')
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const patience = 120_000

const found = { at: '', errors: [], foreign: [], violations: [], faults: [], refused: '', live: 0, role: '', reloaded: 0, renewed: false, kept: 0, other: 0, spans: 0, out: false, left: -1, shown: -1 }
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, locale: 'en-GB', reducedMotion: 'reduce' })
let step = ''

function watched(page) {
	page.setDefaultTimeout(patience)
	page.on('pageerror', e => found.errors.push(`${step}: ${e.message}`))
	// What is refused is what this is about; browsers call it an error.
	page.on('console', m => { if (m.type() === 'error' && !/status of 401/.test(m.text())) found.errors.push(`${step}: ${m.text()} ${m.location().url}`) })
	page.on('request', r => { const u = r.url(); if (!u.startsWith(base) && !(found.at && u.startsWith(found.at)) && !u.startsWith('data:')) found.foreign.push(`${step}: ${u}`) })
	return page
}

const page = watched(await context.newPage())
const live = async p => {
	await p.waitForFunction(() => !document.querySelector('dialog[open]') && document.querySelector('.pill .dot') && !document.querySelector('main [aria-busy="true"]'))
	return p.locator('.card').count()
}
const audit = async () => {
	await page.evaluate(axe)
	for (const v of (await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))).violations) found.violations.push(`${step}: ${v.id}: ${v.nodes[0].target.join(' ')}`)
}
const stored = () => page.evaluate(() => JSON.parse(localStorage.getItem('mp.login')))

const steps = {
	async redirect() {
		const response = await page.request.get(base + '/alerts?severity=critical', { maxRedirects: 0 })
		found.at = new URL(response.headers().location).origin
		await page.goto(base + '/alerts')
		await page.waitForSelector('dialog[open]')
	},
	async wrong() {
		await audit()
		await page.keyboard.press('Escape') // there is no way around it
		await page.keyboard.press('Escape')
		await page.waitForSelector('dialog[open]')
		found.shown = await page.locator('main .card table').count()
		await page.fill('dialog input[name=username]', user)
		await page.fill('dialog input[name=password]', password + 'x')
		await page.click('dialog button.main')
		found.refused = await page.textContent('dialog [role=alert]')
	},
	async right() {
		await page.fill('dialog input[name=password]', password)
		await page.click('dialog button.main')
		found.live = await live(page)
		found.role = await page.getAttribute('.bar .who', 'title')
	},
	async reload() {
		await page.reload()
		found.reloaded = await live(page)
	},
	async renew() {
		// Another tab is logged in too. It leaves a token behind that is good no more; nobody
		// has to log in again for that.
		const other = watched(await context.newPage())
		await other.goto(found.at + '/')
		found.other = await live(other)
		const before = await stored()
		await other.evaluate(() => { const l = JSON.parse(localStorage.getItem('mp.login')); localStorage.setItem('mp.login', JSON.stringify({ ...l, access: 'eyJ.run.out' })) })
		await page.waitForFunction(was => { const l = JSON.parse(localStorage.getItem('mp.login')); return l && l.access !== 'eyJ.run.out' && l.refresh !== was }, before.refresh)
		found.renewed = true
		found.kept = await live(page)
		await live(other)
		await other.close()
	},
	async traces() {
		// What was slow is listed, each with the services that it went through.
		await page.click('.rail a.to[href="/logs"]')
		await page.click('.filters button:has-text("Traces")')
		await page.click('main table tbody tr td code')
		await page.waitForSelector('.drawer .spans li')
		found.spans = await page.locator('.drawer .spans li').count()
		await audit()
	},
	async logout() {
		const { access } = await stored()
		await page.click('.bar .who')
		await page.waitForSelector('dialog[open]')
		found.out = await stored() === null
		found.left = (await page.request.get(found.at + '/api/v1/auth/me', { headers: { Authorization: 'Bearer ' + access } })).status()
	},
}

for (const [name, run] of Object.entries(steps)) {
	step = name
	try {
		await run()
	} catch (e) {
		found.faults.push(`${name}: ${e.message.split('\n')[0]}`)
		break
	}
}
await browser.close()
console.log(JSON.stringify(found))
