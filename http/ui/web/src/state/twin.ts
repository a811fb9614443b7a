import { param, set } from './route'

/** Whether charts are shown as the tables that they are drawn of. */
export const twin = () => param('twin') === 'yes'

export const toggleTwin = () => set({ twin: twin() ? undefined : 'yes' })
