import { signal } from '@preact/signals'

/** Who somebody is, where the gateway wants to know. A login counts for all tabs of this origin, until it is ended or not renewed for days. */

export interface Login { access: string; refresh: string; name: string; role: string }

interface Answer { access_token: string; refresh_token: string; user: { name: string; role: string } }

const key = 'mp.login'

function stored(): Login | null {
	try { return JSON.parse(localStorage.getItem(key) ?? 'null') as Login | null } catch { return null }
}

/** The login, if there is one. */
export const login = signal<Login | null>(stored())
/** Whether somebody has to log in before anything is shown. */
export const anonymous = signal(false)

function keep(next: Login | null) {
	login.value = next
	if (next) anonymous.value = false
	try {
		if (next) localStorage.setItem(key, JSON.stringify(next))
		else localStorage.removeItem(key)
	} catch { /* a browser that keeps nothing: it counts until the page is closed */ }
}

addEventListener('storage', e => { // another tab logged in, renewed, or logged out
	if (e.key !== key && e.key !== null) return
	const next = stored()
	if (!next && login.peek()) return location.reload()
	login.value = next
	if (next) anonymous.value = false
})

const asked = (path: string, body: unknown) => fetch('/api/v1/auth/' + path, {
	method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), signal: AbortSignal.timeout(30_000),
})

async function taken(r: Response): Promise<boolean> {
	if (!r.ok) return false
	const a = await r.json() as Answer
	keep({ access: a.access_token, refresh: a.refresh_token, name: a.user.name, role: a.user.role })
	return true
}

/** Logs in; what is answered otherwise is the status and the reason. */
export async function enter(username: string, password: string): Promise<{ status: number; reason: string } | null> {
	const r = await asked('login', { username, password })
	if (await taken(r)) return null
	const problem = await r.json().catch(() => ({})) as { detail?: string }
	return { status: r.status, reason: problem.detail ?? r.statusText }
}

/** One tab at a time: a refresh token works once. Without locks (a page that is not from this machine, and not by TLS) tabs rarely meet, and the time differs. */
function alone(what: () => Promise<boolean>): Promise<boolean> {
	if (navigator.locks) return navigator.locks.request(key, what)
	return new Promise((done, failed) => { setTimeout(() => { what().then(done, failed) }, Math.random() * 600) })
}

let renewing: Promise<boolean> | null = null

/** Renews the login whose access token is refused, unless somebody has; false when it is over. */
export function renew(refused: string): Promise<boolean> {
	renewing ??= alone(async () => {
		const now = stored() ?? login.peek()
		if (!now) return false
		if (now.access !== refused) { // another tab was first
			keep(now)
			return true
		}
		const r = await asked('refresh', { refresh_token: now.refresh })
		if (await taken(r)) return true
		if (r.status === 401) keep(null)
		return false
	}).finally(() => { renewing = null })
	return renewing
}

/** Forgets the login here, and everything that was shown. */
export function leave() {
	keep(null)
	location.reload()
}
