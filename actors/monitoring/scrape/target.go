package scrape

import (
	"context"
	"hash/fnv"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Names of labels that every target has.
const (
	jobLabel      = "job"
	instanceLabel = "instance"
)

// Target is one thing to scrape.
type Target struct {
	Job      string // a service's name
	Instance string // host:port
	URL      string // of the metrics
	Labels   map[string]string
	// Process is the same for targets that show the same metrics: only the first of
	// them is read. "" is a process of its own.
	Process string
}

// Targets lists what there is to scrape now.
type Targets interface {
	Targets(ctx context.Context) ([]Target, error)
}

// TargetsFunc is a function that is Targets.
type TargetsFunc func(ctx context.Context) ([]Target, error)

// Targets calls f.
func (f TargetsFunc) Targets(ctx context.Context) ([]Target, error) { return f(ctx) }

// task is a target with how it is scraped.
type task struct {
	Target
	probe bool // its metrics are another's; only whether it lives is asked
}

// key is equal for equal tasks, and a valid name of an actor.
func (t task) key() string {
	h := fnv.New64a()
	for _, part := range []string{t.Job, t.Instance, t.URL, strconv.FormatBool(t.probe)} {
		_, _ = h.Write([]byte(part + "\xff"))
	}
	for _, name := range sorted(t.Labels) {
		_, _ = h.Write([]byte(name + "\xff" + t.Labels[name] + "\xff"))
	}
	name := strings.NewReplacer("/", "_", "$", "_").Replace(t.Job + "@" + t.Instance)
	return name + "~" + strconv.FormatUint(h.Sum64(), 36)
}

// labels are those that all its series bear.
func (t task) labels() map[string]string {
	l := maps.Clone(t.Labels)
	if l == nil {
		l = map[string]string{}
	}
	l[jobLabel], l[instanceLabel] = t.Job, t.Instance
	return l
}

// address is what is asked.
func (t task) address() string {
	if !t.probe {
		return t.URL
	}
	u, err := url.Parse(t.URL)
	if err != nil {
		return t.URL
	}
	u.Path = "/livez"
	return u.String()
}

// stagger is when in the interval the target has its turn: always at the same point,
// spread over all targets.
func (t task) stagger(now time.Time, interval time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.key()))
	offset := time.Duration(h.Sum64() % uint64(interval))
	into := time.Duration(now.UnixNano() % int64(interval))
	if offset < into {
		offset += interval
	}
	return offset - into
}

// tasks decides which target of each process is read.
func tasks(all []Target) map[string]task {
	out := map[string]task{}
	seen := map[string]bool{}
	for _, t := range all {
		each := task{Target: t, probe: t.Process != "" && seen[t.Process]}
		seen[t.Process] = true
		out[each.key()] = each
	}
	return out
}
