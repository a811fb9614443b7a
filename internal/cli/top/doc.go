// Package top shows streams and actors of the running program in a terminal, as
// they change.
//
// Authority: none; it shows what the monitoring-service says of all nodes, over
// the server-sent events that the dashboard follows too. Where the connection
// is lost it is made again, and the screen says how old its figures are.
//
//	Feed (one goroutine) -> Picture -> Screen (one goroutine, bubbletea)
//	                              \-> Print (where the output is no terminal)
package top
