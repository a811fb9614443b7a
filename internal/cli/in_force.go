package cli

import (
	"slices"
	"sync"

	"github.com/marketprism/marketprism/config"
)

// inForce lists the settings in force, while some of them change. It is safe for
// concurrent use.
type inForce struct {
	mu       sync.Mutex
	settings []config.Setting
}

func newInForce(l *config.Loaded) *inForce { return &inForce{settings: l.Settings()} }

// list are the settings, in the order of the file.
func (f *inForce) list() []config.Setting {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.settings)
}

// take takes the settings of these paths from another configuration; those that it does
// not have go.
func (f *inForce) take(paths []string, l *config.Loaded) {
	if len(paths) == 0 {
		return
	}
	fresh := l.Settings()
	f.mu.Lock()
	defer f.mu.Unlock()
	next := make([]config.Setting, 0, len(fresh))
	for _, s := range fresh {
		if slices.Contains(paths, s.Path) {
			next = append(next, s)
		} else if i := slices.IndexFunc(f.settings, func(old config.Setting) bool { return old.Path == s.Path }); i >= 0 {
			next = append(next, f.settings[i])
		}
	}
	for _, old := range f.settings { // what the other does not have, and is in force still
		if !slices.Contains(paths, old.Path) && !slices.ContainsFunc(fresh, func(s config.Setting) bool { return s.Path == old.Path }) {
			next = append(next, old)
		}
	}
	f.settings = next
}
