/** What an alerting expression holds against what: `f(x) > 5` is f(x), > and 5. undefined
 * where it is not of that form. */
export function thresholdOf(query: string): { expr: string; op: string; limit: string } | undefined {
	const text = query.trim()
	const m = /^([\s\S]+?)\s*(>=|<=|==|!=|>|<)\s*(?:bool\s+)?([-+]?[\d.]+(?:e[-+]?\d+)?)$/i.exec(text)
	if (!m) return undefined
	// The comparison has to be the outermost: no bracket of the left side may be open.
	let deep = 0
	for (const c of m[1]!) deep += c === '(' || c === '{' || c === '[' ? 1 : c === ')' || c === '}' || c === ']' ? -1 : 0
	return deep === 0 && !/\b(?:and|or|unless)\b/i.test(m[1]!) ? { expr: m[1]!, op: m[2]!, limit: m[3]! } : undefined
}
