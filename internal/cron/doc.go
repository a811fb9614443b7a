// Package cron reads cron expressions and says when they are due. It is pure: no
// clock, no goroutine, nothing remembered.
//
// # Expressions
//
//	┌───────── second        0-59, only with six fields
//	│ ┌─────── minute        0-59
//	│ │ ┌───── hour          0-23
//	│ │ │ ┌─── day of month  1-31, L, L-3, 15W, LW
//	│ │ │ │ ┌─ month         1-12, JAN-DEC
//	│ │ │ │ │ ┌ day of week  0-7 (0 and 7 are Sunday), SUN-SAT, 5L, 5#2
//	* * * * * *
//
// A field is a list of terms with commas: * or ? (all), n, a-b, any of these with
// /step (n/step goes from n to the end), and ~ (a value that the seed chooses, the
// same at every time), a~b, ~/step. L is the last day of the month, L-3 three days
// before it, 15W the weekday nearest to the 15th within the month, LW the last
// weekday; 5L is the last Friday of the month, 5#2 the second one. When day of
// month and day of week both say something (neither begins with * or ?), a day
// that matches either is due, as in Vixie's cron; else a day must match both.
//
// @yearly (@annually), @monthly, @weekly, @daily (@midnight) and @hourly stand for
// the expressions that one expects; @every 90s is due every ninety seconds of
// elapsed time, at an offset in milliseconds that the seed chooses; @at 2027-01-01T09:00:00 is due
// once.
//
// # Daylight saving
//
//   - A schedule whose hour is * or */n follows elapsed time: it is due whenever the
//     local clock shows a time that matches, in a repeated hour both times; what a
//     gap leaves out is not made up for.
//   - Any other schedule has fixed hours. Times that a gap leaves out are due once,
//     together, at the end of the gap. Times that are repeated are due once, the
//     first time.
package cron
