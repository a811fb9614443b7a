import shapes from './icon_shapes.json'

export type IconName = keyof typeof shapes

/** One of Lucide's icons. Without a label it is decoration, and hidden from readers. */
export function Icon({ name, size = 16, label, cls }: { name: IconName; size?: number; label?: string; cls?: string }) {
	return (
		<svg
			class={'icon ' + (cls ?? '')} width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"
			stroke-linecap="round" stroke-linejoin="round" role={label ? 'img' : undefined} aria-label={label} aria-hidden={label ? undefined : 'true'}
			dangerouslySetInnerHTML={{ __html: shapes[name] }}
		/>
	)
}
