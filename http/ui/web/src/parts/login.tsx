import { useEffect, useRef, useState } from 'preact/hooks'
import { anonymous, enter } from '../state/login'
import { tr } from '../state/words'

/** Asks who somebody is, where the gateway wants to know. */
export function Login() {
	const box = useRef<HTMLDialogElement>(null)
	const [name, setName] = useState('')
	const [password, setPassword] = useState('')
	const [fault, setFault] = useState('')
	const [busy, setBusy] = useState(false)
	const needed = anonymous.value
	useEffect(() => { if (needed) box.current?.showModal() }, [needed])
	if (!needed) return null
	const go = async (e: Event) => {
		e.preventDefault()
		setBusy(true)
		try {
			const refused = await enter(name, password)
			setFault(!refused ? '' : refused.status === 401 ? tr('The user or the password is wrong.', '用户名或密码错误。') : refused.reason)
		} catch (err) { setFault(err instanceof Error ? err.message : String(err)) }
		setPassword('')
		setBusy(false)
	}
	// It stays until somebody is in: there is nothing to see behind it.
	const stay = () => { if (anonymous.peek()) box.current?.showModal() }
	return (
		<dialog ref={box} aria-labelledby="login-title" onCancel={e => e.preventDefault()} onClose={stay}>
			<h2 id="login-title">{tr('Log in to MarketPrism', '登录 MarketPrism')}</h2>
			<form class="form" onSubmit={go}>
				<label>{tr('User', '用户')}<input class="text" name="username" autocomplete="username" required value={name} onInput={e => setName(e.currentTarget.value)} /></label>
				<label>{tr('Password', '密码')}<input class="text" name="password" type="password" autocomplete="current-password" required value={password} onInput={e => setPassword(e.currentTarget.value)} /></label>
				{fault && <p class="c-crit" role="alert">{fault}</p>}
				<div class="acts"><button class="btn main" type="submit" disabled={busy}>{tr('Log in', '登录')}</button></div>
			</form>
		</dialog>
	)
}
