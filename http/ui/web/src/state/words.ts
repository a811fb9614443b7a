import { language } from './prefs'

/** A sentence in the language that is chosen. Both are given where it is used, whole. */
export function tr(english: string, chinese: string): string { return language.value === 'zh' ? chinese : english }

const rules = new Intl.PluralRules('en')

/** one or other of an English sentence; Chinese has one form. */
export function plural(n: number, one: string, other: string): string { return rules.select(n) === 'one' ? one : other }
