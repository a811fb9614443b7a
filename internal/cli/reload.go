package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/marketprism/marketprism/config"
)

// lookEvery is the time between two looks at the configuration's files.
const lookEvery = 2 * time.Second

// reloader takes up changes of the configuration while the program runs: on
// SIGHUP, and when a file has changed. A configuration with errors changes
// nothing.
type reloader struct {
	load  func() (*config.Loaded, error)
	log   *zap.Logger
	level zap.AtomicLevel

	inForce *config.Loaded
	stamp   string
}

func newReloader(load func() (*config.Loaded, error), inForce *config.Loaded, log *zap.Logger, level zap.AtomicLevel) *reloader {
	r := &reloader{load: load, log: log, level: level, inForce: inForce}
	r.stamp = r.look()
	return r
}

// run looks until ctx ends.
func (r *reloader) run(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			r.stamp = r.look()
			r.reload("SIGHUP")
		case <-tick.C:
			if now := r.look(); now != r.stamp {
				r.stamp = now
				r.reload("file changed")
			}
		}
	}
}

// look sums up the files' times and sizes.
func (r *reloader) look() string {
	files := []string{r.inForce.File, r.inForce.DotEnv}
	if r.inForce.File != "" {
		more, err := filepath.Glob(filepath.Join(filepath.Dir(r.inForce.File), "exchanges", "*.yaml"))
		if err == nil { // the pattern is a constant
			files = append(files, more...)
		}
	}
	var b strings.Builder
	for _, f := range files {
		if st, err := os.Stat(f); err == nil {
			fmt.Fprintln(&b, f, st.ModTime().UnixNano(), st.Size())
		}
	}
	return b.String()
}

// reload takes up what can change live and names what cannot.
func (r *reloader) reload(why string) {
	fresh, err := r.load()
	if err != nil {
		r.log.Error("the configuration is wrong and changes nothing", zap.String("why", why), zap.Error(err))
		return
	}
	before := map[string]string{}
	for _, s := range r.inForce.Settings() {
		before[s.Path] = s.Value
	}
	var restart, taken []string
	for _, s := range fresh.Settings() {
		switch {
		case before[s.Path] == s.Value:
		case s.Path == "log.level" && r.setLevel(fresh.Config.Log.Level):
			taken = append(taken, s.Path)
		default:
			restart = append(restart, s.Path)
		}
	}
	r.log.Info("configuration read again", zap.String("why", why), zap.Strings("taken", taken))
	if len(restart) > 0 {
		r.log.Warn("settings were changed that need a restart", zap.Strings("settings", restart))
	}
	// Only what was taken is in force: the others are named again next time.
	r.inForce.Config.Log.Level = fresh.Config.Log.Level
}

func (r *reloader) setLevel(word string) bool {
	level, err := zapcore.ParseLevel(word)
	if err != nil {
		return false
	}
	r.level.SetLevel(level)
	return true
}
