package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/http/monitoring"
)

// lookEvery is the time between two looks at the configuration's files.
const lookEvery = 2 * time.Second

// reconfigureWithin bounds the taking up of a configuration.
const reconfigureWithin = 30 * time.Second

// reloader takes up changes of the configuration while the program runs: on
// SIGHUP, and when a file has changed. A configuration with errors changes
// nothing.
type reloader struct {
	load  func() (*config.Loaded, error)
	log   *zap.Logger
	level zap.AtomicLevel
	// reconfigure is that of app.App.
	reconfigure func(context.Context, *config.Config) (taken, needRestart []string, err error)

	file, dotEnv string
	inForce      map[string]string // every setting's value, by path
	stamp        string
	settings     *inForce // the same, to be shown
	hup          chan os.Signal
}

// newReloader notes what is in force and, from now on, what is asked for: a program that
// starts is told, too.
func newReloader(load func() (*config.Loaded, error), inForce *config.Loaded) *reloader {
	r := &reloader{
		load: load, file: inForce.File, dotEnv: inForce.DotEnv, inForce: values(inForce),
		settings: newInForce(inForce, time.Now()), hup: make(chan os.Signal, 1),
	}
	r.stamp = r.look()
	signal.Notify(r.hup, syscall.SIGHUP)
	return r
}

// close ends what newReloader began.
func (r *reloader) close() { signal.Stop(r.hup) }

func values(l *config.Loaded) map[string]string {
	out := map[string]string{}
	for _, s := range l.Settings() {
		out[s.Path] = s.Value
	}
	return out
}

// run looks until ctx ends.
func (r *reloader) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hup:
			r.stamp = r.look()
			r.reload(ctx, "SIGHUP")
		case <-tick.C:
			if now := r.look(); now != r.stamp {
				r.stamp = now
				r.reload(ctx, "file changed")
			}
		}
	}
}

// look sums up the files' times and sizes.
func (r *reloader) look() string {
	files := []string{r.file, r.dotEnv}
	if r.file != "" {
		more, err := filepath.Glob(filepath.Join(filepath.Dir(r.file), "exchanges", "*.yaml"))
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
func (r *reloader) reload(ctx context.Context, why string) {
	ctx, cancel := context.WithTimeout(ctx, reconfigureWithin)
	defer cancel()
	fresh, err := r.load()
	if err != nil {
		r.refuse(why, err)
		return
	}
	parts, more, err := r.reconfigure(ctx, &fresh.Config)
	if err != nil && len(parts) == 0 {
		r.refuse(why, err)
		return
	}
	next := values(fresh)
	taken, restart := []string{}, slices.Clone(more)
	for _, path := range changed(r.inForce, next) {
		switch {
		case slices.ContainsFunc(parts, func(part string) bool { return within(path, part) }):
		case path == "log.level" && r.setLevel(fresh.Config.Log.Level):
		default:
			restart = append(restart, path)
			continue
		}
		taken = append(taken, path)
		r.take(path, next)
	}
	// Only what was taken is in force: the others are named again next time.
	restart = append([]string{}, outermost(restart)...)
	noted := monitoring.Reload{Time: time.Now().UTC(), Why: why, Taken: taken, NeedsRestart: restart}
	if err != nil {
		noted.Error = err.Error()
	}
	r.settings.take(fresh, noted)
	r.log.Info("configuration read again", zap.String("why", why), zap.Strings("taken", taken))
	if err != nil {
		r.log.Error("not everything could be taken up; it is tried again at the next change", zap.Error(err))
	}
	if len(restart) > 0 {
		r.log.Warn("settings were changed that need a restart", zap.Strings("settings", restart))
	}
}

// refuse tells of a configuration that changes nothing.
func (r *reloader) refuse(why string, err error) {
	r.log.Error("the configuration is wrong and changes nothing", zap.String("why", why), zap.Error(err))
	r.settings.refused(why, time.Now(), err)
}

// take notes that a setting is in force as it now is.
func (r *reloader) take(path string, next map[string]string) {
	if value, ok := next[path]; ok {
		r.inForce[path] = value
	} else {
		delete(r.inForce, path)
	}
}

// changed lists the paths at which settings differ, in order.
func changed(before, now map[string]string) []string {
	var out []string
	for path, value := range now {
		if had, ok := before[path]; !ok || had != value {
			out = append(out, path)
		}
	}
	for path := range before {
		if _, ok := now[path]; !ok {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// within reports whether a setting is a part, or in it.
func within(path, part string) bool {
	return path == part || strings.HasPrefix(path, part+".")
}

// outermost sorts paths and leaves out those within another.
func outermost(paths []string) []string {
	slices.Sort(paths)
	var out []string
	for _, p := range paths {
		if n := len(out); n == 0 || !within(p, out[n-1]) {
			out = append(out, p)
		}
	}
	return out
}

func (r *reloader) setLevel(word string) bool {
	level, err := zapcore.ParseLevel(word)
	if err != nil {
		return false
	}
	r.level.SetLevel(level)
	return true
}
