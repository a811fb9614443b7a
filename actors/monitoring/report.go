package monitoring

import (
	"errors"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/host"
	"github.com/marketprism/marketprism/actors/supervise"
)

// Report is a picture of everything at one moment.
type Report struct {
	ID        string
	Time      time.Time
	Uptime    time.Duration // of this process's monitoring
	Services  []Standing
	Changes   []Change // the last ones, the latest first
	Host      host.Sample
	HostKnown bool
	Actors    ActorSummary
	Alerts    []Alert
}

// ActorSummary sums up the supervision tree.
type ActorSummary struct {
	Total, Running, Waiting int // Waiting: in backoff
	Restarts, Failures      uint64
	DeadLetters             uint64
	// Troubled are those that fail, or have failed, the one with most failures first.
	Troubled []supervise.Node
}

// Alert is one active alert, as a report and the overview show it.
type Alert struct {
	RuleID, Name, Severity, Description string
	Since                               time.Time
	Value                               float64
}

// ErrNoReport: no report of that id is kept.
var ErrNoReport = errors.New("no report of that id is kept")

// reportChanges and reportActors bound what a report shows.
const (
	reportChanges = 50
	reportActors  = 20
)

// MakeReport makes a report of what is known now, and keeps it.
func (h *Handle) MakeReport(tree supervise.Snapshot, alerts []Alert) *Report {
	now := h.options.Now()
	r := &Report{
		Time: now.UTC(), Uptime: now.Sub(h.started), Services: h.Standings(), Changes: h.Changes("", reportChanges),
		Actors: summary(tree), Alerts: alerts,
	}
	r.Host, r.HostKnown = h.Host()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.made++
	r.ID = now.UTC().Format("20060102T150405Z") + "-" + strconv.FormatUint(h.made, 10)
	h.reports = append(h.reports, r)
	if over := len(h.reports) - h.options.Config.Reports.Kept; over > 0 {
		h.reports = append([]*Report(nil), h.reports[over:]...)
	}
	return r
}

// Reports are those that are kept, at most limit, the latest first.
func (h *Handle) Reports(limit int) []*Report {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := []*Report{}
	for i := len(h.reports) - 1; i >= 0 && len(out) < limit; i-- {
		out = append(out, h.reports[i])
	}
	return out
}

// Report finds a report; "latest" is the last. Error: ErrNoReport.
func (h *Handle) Report(id string) (*Report, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for i := len(h.reports) - 1; i >= 0; i-- {
		if h.reports[i].ID == id || id == "latest" {
			return h.reports[i], nil
		}
	}
	return nil, ErrNoReport
}

// summary sums up a tree.
func summary(tree supervise.Snapshot) ActorSummary {
	s := ActorSummary{Total: len(tree.Actors), DeadLetters: tree.DeadLetters, Troubled: []supervise.Node{}}
	for i := range tree.Actors {
		n := &tree.Actors[i]
		s.Restarts += n.Restarts
		s.Failures += n.Failures
		switch n.State {
		case supervise.Running:
			s.Running++
		case supervise.InBackoff:
			s.Waiting++
		}
		if n.Failures > 0 {
			s.Troubled = insert(s.Troubled, *n)
		}
	}
	return s
}

// insert keeps the list by failures, and short.
func insert(list []supervise.Node, n supervise.Node) []supervise.Node {
	at := len(list)
	for at > 0 && list[at-1].Failures < n.Failures {
		at--
	}
	list = append(list, supervise.Node{})
	copy(list[at+1:], list[at:])
	list[at] = n
	return list[:min(len(list), reportActors)]
}
