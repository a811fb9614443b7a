import { useEffect, useRef, useState } from 'preact/hooks'
import { anonymous, send, useToken } from '../state/api'
import { tryNow } from '../state/live'
import { tr } from '../state/words'

/** Asks who somebody is, where the services want to know. */
export function Login() {
	const box = useRef<HTMLDialogElement>(null)
	const [name, setName] = useState('')
	const [password, setPassword] = useState('')
	const [fault, setFault] = useState('')
	const needed = anonymous.value
	useEffect(() => { if (needed) box.current?.showModal() }, [needed])
	if (!needed) return null
	const enter = async (e: Event) => {
		e.preventDefault()
		try {
			const a = await send<{ access_token: string }>('POST', 'auth/login', { username: name, password })
			box.current?.close()
			useToken(a.access_token)
			tryNow()
		} catch (err) { setFault(err instanceof Error ? err.message : String(err)) }
	}
	return (
		<dialog ref={box} aria-labelledby="login-title" onCancel={e => e.preventDefault()}>
			<h2 id="login-title">{tr('Log in to MarketPrism', '登录 MarketPrism')}</h2>
			<form class="form" onSubmit={enter}>
				<label>{tr('User', '用户')}<input class="text" autocomplete="username" value={name} onInput={e => setName(e.currentTarget.value)} /></label>
				<label>{tr('Password', '密码')}<input class="text" type="password" autocomplete="current-password" value={password} onInput={e => setPassword(e.currentTarget.value)} /></label>
				{fault && <p class="c-crit" role="alert">{fault}</p>}
				<div class="acts"><button class="btn main" type="submit">{tr('Log in', '登录')}</button></div>
			</form>
		</dialog>
	)
}
