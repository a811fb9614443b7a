package app

import "github.com/marketprism/marketprism/actors/supervise"

// System is the tree, for tests that put an actor of their own into it.
func (a *App) System() *supervise.System { return a.system }
