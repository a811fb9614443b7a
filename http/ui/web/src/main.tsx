import 'uplot/dist/uPlot.min.css'
import './style/tokens.css'
import './style/base.css'
import './style/parts.css'
import './style/pages.css'
import { render } from 'preact'
import { useEffect } from 'preact/hooks'
import { effect } from '@preact/signals'
import { Confirm } from './parts/confirm'
import { opened } from './parts/drawer'
import { Login } from './parts/login'
import { Palette } from './parts/palette'
import { Banner, Bar, Help, pageWord, Rail } from './parts/shell'
import { Toasts, toast } from './parts/toast'
import { bind, pressed } from './state/keys'
import { connect, frozen, standing, want } from './state/live'
import { anonymous } from './state/login'
import { lookAround } from './state/nodes'
import { followed, page } from './state/route'
import { tr } from './state/words'
import { PageOf, topicsOf } from './pages'

function App() {
	const p = page.value
	useEffect(() => { want(p ? topicsOf[p] : []) }, [p])
	useEffect(() => { document.title = (p ? pageWord(p) + ' · ' : '') + 'MarketPrism' })
	useEffect(() => bind('copied', () => toast('ok', tr('Link copied', '链接已复制'))), [])
	const open = (url: string) => {
		const a = document.createElement('a')
		a.href = url
		document.body.append(a)
		a.click()
		a.remove()
	}
	return (
		<>
			<a class="skip" href="#main">{tr('Skip to the page', '跳到正文')}</a>
			<div class={'frame' + (opened.value ? ' opened' : '')}>
				<Rail />
				<Bar />
				<PageOf page={p} banner={<Banner />} />
			</div>
			<Palette open={open} /><Help /><Confirm /><Login /><Toasts />
		</>
	)
}

document.addEventListener('click', followed)
document.addEventListener('keydown', pressed)
// Everything on a page that has not been heard of for long looks like it.
effect(() => { document.documentElement.toggleAttribute('data-old', standing() === 'old' && !frozen.value && !anonymous.value) })
connect()
lookAround()
render(<App />, document.getElementById('app')!)
