package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
)

// Fetch gets what a service answers to GET path, as JSON.
type Fetch func(ctx context.Context, service, path string) (json.RawMessage, error)

// The pace of a stream: no more than four frames a second, and one at least.
const (
	frameEvery = often
	beatEvery  = time.Second
	// lookWithin bounds a look, so that a service that hangs does not make a whole page
	// old.
	lookWithin = 1500 * time.Millisecond
)

// look is what a topic said last, shared by all who follow it.
type look struct {
	mu   sync.Mutex
	at   time.Time
	said said
	err  error
}

// said is what a topic said at one look: nobody changes it afterwards.
type said struct {
	values values
	number uint64 // of the look; the same number, the same values
}

// pages keeps the last look at each topic.
type pages struct{ looks map[string]*look }

func newPages() pages {
	p := pages{looks: map[string]*look{}}
	for _, t := range liveTopics() {
		p.looks[t] = &look{}
	}
	return p
}

// snapshotEvent is everything of the topics that are followed.
type snapshotEvent struct {
	Seq    uint64            `json:"seq" required:"true"`
	Time   time.Time         `json:"time" required:"true"`
	Topics map[string]values `json:"topics" required:"true" doc:"by topic, by key"`
	Errors map[string]string `json:"errors" required:"true" doc:"by topic: why it says nothing new"`
}

// diffEvent is what is another since the event before.
type diffEvent struct {
	Seq    uint64              `json:"seq" required:"true"`
	Time   time.Time           `json:"time" required:"true"`
	Set    map[string]values   `json:"set" required:"true"`
	Del    map[string][]string `json:"del" required:"true"`
	Errors map[string]string   `json:"errors" required:"true"`
}

// beatEvent says that nothing is another.
type beatEvent struct {
	Seq    uint64            `json:"seq" required:"true"`
	Time   time.Time         `json:"time" required:"true"`
	Errors map[string]string `json:"errors" required:"true"`
}

func (f *service) liveRoutes() []chassis.Route {
	return []chassis.Route{{
		Method: http.MethodGet, Path: base + "ui/live", ID: "uiLive", Tag: tagProgram, Summary: "What a dashboard shows, as server-sent events",
		Description: "First `snapshot` with all values of the topics by key, then `diff` {seq, set, del} whenever something is another, at most four " +
			"times a second, and `beat` after a second in which nothing was. A client that is too slow gets fewer diffs, never a backlog. Topics: " + strings.Join(liveTopics(), ", ") + ".",
		Params:    []chassis.Param{{Name: "topics", Doc: "Comma-separated.", Default: topicOverview, Example: "overview,services"}},
		Responses: []chassis.Response{{Media: chassis.MediaEvents, Body: ""}},
		Live:      true, Handler: f.live,
	}}
}

func (f *service) live(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	topics := q.List("topics")
	if len(topics) == 0 {
		topics = []string{topicOverview}
	}
	slices.Sort(topics)
	topics = slices.Compact(topics)
	for _, t := range topics {
		if f.pages.looks[t] == nil {
			q.Refuse("topics", "%.40q is none of %s", t, strings.Join(liveTopics(), ", "))
		}
	}
	if err := q.Err(); err != nil {
		return err
	}
	s, err := chassis.NewPackedEvents(w, r)
	if err != nil {
		return err
	}
	defer s.End()
	return f.sendFrames(r.Context(), s, topics)
}

// sendFrames sends what is another, until the client leaves or the server drains.
func (f *service) sendFrames(ctx context.Context, s *chassis.Events, topics []string) error {
	tick := time.NewTicker(frameEvery)
	defer tick.Stop()
	last, errs := f.lookAt(ctx, topics)
	seq, sent := uint64(1), time.Now()
	first := snapshotEvent{seq, f.Now().UTC(), map[string]values{}, errs}
	for topic, now := range last {
		first.Topics[topic] = now.values
	}
	if err := s.Send("1", "snapshot", first); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, failed := f.lookAt(ctx, topics)
		if ctx.Err() != nil {
			return nil
		}
		d := difference(last, now)
		changed := len(d.Set)+len(d.Del) > 0 || !maps.Equal(errs, failed)
		if last, errs = now, failed; !changed && time.Since(sent) < beatEvery-frameEvery/2 {
			continue
		}
		seq++
		sent = time.Now()
		d.Seq, d.Time, d.Errors = seq, f.Now().UTC(), errs
		var err error
		if id := strconv.FormatUint(seq, 10); changed {
			err = s.Send(id, "diff", d)
		} else {
			err = s.Send(id, "beat", beatEvent{seq, d.Time, errs})
		}
		if err != nil {
			return err
		}
	}
}

// lookAt looks at topics, all at once. One that cannot be looked at keeps what it said
// last, and says why.
func (f *service) lookAt(ctx context.Context, topics []string) (map[string]said, map[string]string) {
	found, failed := make([]said, len(topics)), make([]error, len(topics))
	var looks sync.WaitGroup
	for i, t := range topics {
		looks.Go(func() { found[i], failed[i] = f.pages.look(ctx, t, f.say) })
	}
	looks.Wait()
	all, errs := map[string]said{}, map[string]string{}
	for i, t := range topics {
		if failed[i] != nil {
			errs[t] = failed[i].Error()
		}
		if found[i].values == nil {
			found[i].values = values{}
		}
		all[t] = found[i]
	}
	return all, errs
}

// look looks, unless somebody has just done so.
func (p *pages) look(ctx context.Context, topic string, say func(context.Context, string) (values, error)) (said, error) {
	l := p.looks[topic]
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) > topics[topic].every-frameEvery/2 {
		limited, cancel := context.WithTimeout(ctx, lookWithin)
		now, err := say(limited, topic)
		cancel()
		if l.err = err; err == nil {
			l.said = said{now, l.said.number + 1}
		}
		if ctx.Err() == nil { // one who left is no reason for the others
			l.at = time.Now()
		}
	}
	return l.said, l.err
}

// difference is what makes now of before. A topic that nobody has looked at since costs
// nothing, however long it is.
func difference(before, now map[string]said) diffEvent {
	d := diffEvent{Set: map[string]values{}, Del: map[string][]string{}}
	for topic, is := range now {
		was := before[topic]
		if was.number == is.number {
			continue
		}
		set, same := values{}, 0
		for key, text := range is.values {
			old, had := was.values[key]
			if had {
				same++
			}
			if !had || !bytes.Equal(old, text) {
				set[key] = text
			}
		}
		if len(set) > 0 {
			d.Set[topic] = set
		}
		if same < len(was.values) {
			d.Del[topic] = gone(was.values, is.values)
		}
	}
	return d
}

// gone are the keys that are no more.
func gone(before, now values) (keys []string) {
	for key := range before {
		if _, ok := now[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
