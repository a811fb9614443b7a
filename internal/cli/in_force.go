package cli

import (
	"slices"
	"sync"
	"time"

	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/http/monitoring"
	"github.com/marketprism/marketprism/internal/app"
)

// inForce knows the settings in force, while some of them change, and what waits for a
// restart. It is safe for concurrent use.
type inForce struct {
	defaults map[string]string // by path

	mu       sync.Mutex
	settings []monitoring.Setting
	reload   *monitoring.Reload
}

func newInForce(l *config.Loaded, now time.Time) *inForce {
	f := &inForce{defaults: map[string]string{}}
	for _, s := range config.Defaults() {
		f.defaults[s.Path] = s.Value
	}
	for _, s := range l.Settings() {
		f.settings = append(f.settings, f.setting(s, now))
	}
	return f
}

func (f *inForce) setting(s config.Setting, since time.Time) monitoring.Setting {
	out := monitoring.Setting{
		Path: s.Path, Value: s.Value, Source: s.Origin.Source.String(), Origin: s.Origin.String(), NeedsRestart: !app.Live(s.Path), Since: since.UTC(),
	}
	if value, ok := f.defaults[s.Path]; ok {
		out.Default = &value
	}
	return out
}

// list are the settings, in the order of the file, and the last time that they were read
// again.
func (f *inForce) list() monitoring.InForce {
	f.mu.Lock()
	defer f.mu.Unlock()
	return monitoring.InForce{Settings: slices.Clone(f.settings), Reload: f.reload}
}

// refused notes a configuration that changes nothing.
func (f *inForce) refused(why string, now time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reload = &monitoring.Reload{Time: now.UTC(), Why: why, Taken: []string{}, NeedsRestart: []string{}, Error: err.Error()}
}

// take notes a configuration that was read again: the settings of taken are in force as it
// says, and those that it does not have are gone; all others wait.
func (f *inForce) take(l *config.Loaded, r monitoring.Reload) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reload = &r
	had := map[string]monitoring.Setting{}
	for _, s := range f.settings {
		had[s.Path] = s
	}
	fresh := l.Settings()
	next := make([]monitoring.Setting, 0, len(fresh))
	for _, s := range fresh {
		old, there := had[s.Path]
		delete(had, s.Path)
		switch {
		case slices.Contains(r.Taken, s.Path):
			next = append(next, f.setting(s, r.Time))
		case there && old.Value != s.Value:
			value := s.Value
			old.Waiting = &value
			next = append(next, old)
		case there:
			old.Waiting = nil
			next = append(next, old)
		}
	}
	for _, old := range f.settings { // what the other does not have, and is in force still
		if _, left := had[old.Path]; left && !slices.Contains(r.Taken, old.Path) {
			next = append(next, old)
		}
	}
	f.settings = next
}
