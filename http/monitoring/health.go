package monitoring

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/monitoring/host"
	"github.com/marketprism/marketprism/http/chassis"
)

// gigabyte is the unit of the overview's figures.
const gigabyte = 1e9

// overview is everything at a glance.
type overview struct {
	Timestamp time.Time `json:"timestamp" required:"true"`
	Uptime    float64   `json:"uptime_seconds" required:"true" doc:"of the monitoring-service"`
	Resources resources `json:"system_resources" required:"true" doc:"of the machine; zeros before it is read first"`
	Services  counted   `json:"services" required:"true" doc:"how many are how"`
	Alerts    alerted   `json:"alerts" required:"true" doc:"those that fire"`
	Stats     stats     `json:"monitoring_stats" required:"true" doc:"what monitoring itself did"`
}

// resources are the figures of the machine that runs the monitoring-service.
type resources struct {
	CPU         float64     `json:"cpu_usage_percent" required:"true" doc:"0 to 100 of all cores together"`
	Memory      float64     `json:"memory_usage_percent" required:"true" doc:"0 to 100"`
	Available   float64     `json:"memory_available_gb" required:"true" doc:"what programs could get without swapping, in 10^9 bytes"`
	Disk        float64     `json:"disk_usage_percent" required:"true" doc:"of the file system that holds the data"`
	DiskFree    float64     `json:"disk_free_gb" required:"true" doc:"on the file system that holds the data, in 10^9 bytes"`
	ReceiveRate float64     `json:"network_received_bytes_per_second" required:"true" doc:"of all interfaces, the loopback one included"`
	SendRate    float64     `json:"network_sent_bytes_per_second" required:"true" doc:"of all interfaces, the loopback one included"`
	OpenFiles   int         `json:"open_files" required:"true" doc:"of this process"`
	MaxFiles    uint64      `json:"max_open_files" required:"true" doc:"0 when it is not known"`
	Clock       *host.Clock `json:"clock" doc:"null before the first reading"`
}

// counted counts the services.
type counted struct {
	Total      int     `json:"total" required:"true" doc:"services that are watched"`
	Healthy    int     `json:"healthy" required:"true" doc:"degraded ones included"`
	Unhealthy  int     `json:"unhealthy" required:"true" doc:"unreachable ones included"`
	Degraded   int     `json:"degraded" required:"true" doc:"healthy ones that warn, or of which not all instances are well"`
	Percentage float64 `json:"health_percentage" required:"true" doc:"0 to 100"`
}

// alerted counts the active alerts.
type alerted struct {
	Active   int `json:"active" required:"true" doc:"that fire, muted ones included"`
	Critical int `json:"critical" required:"true"`
	Warning  int `json:"warning" required:"true"`
}

// stats are what monitoring itself did.
type stats struct {
	Checks       uint64     `json:"total_checks" required:"true" doc:"of services, since the start"`
	Failed       uint64     `json:"failed_checks" required:"true" doc:"those that found a service unhealthy or unreachable"`
	Rounds       uint64     `json:"rounds" required:"true" doc:"of checks of every service"`
	LastCheck    *time.Time `json:"last_check_time" doc:"null before the first"`
	Reports      int        `json:"reports_kept" required:"true" doc:"reports that can be had"`
	Actors       int        `json:"actors" required:"true" doc:"in the supervision tree"`
	ActorsFailed int        `json:"actors_waiting_to_restart" required:"true" doc:"that failed, and wait for their restart"`
	DeadLetters  uint64     `json:"dead_letters_total" required:"true" doc:"messages that reached no actor, since the start"`
}

// health is how one service is.
type health struct {
	Status    branch.Status   `json:"status" enum:"healthy,unhealthy,unreachable,unknown" required:"true" doc:"unknown only before the first check"`
	Degraded  bool            `json:"degraded" required:"true" doc:"healthy, but it warns, or not all instances are well"`
	Seconds   float64         `json:"response_time" required:"true" doc:"in seconds"`
	Since     time.Time       `json:"since" required:"true" doc:"when the status was last another"`
	Details   json.RawMessage `json:"details,omitempty" doc:"the health report of the service, or of its first instance that gave one"`
	Error     string          `json:"error,omitempty" doc:"why it is not well"`
	Instances []instance      `json:"instances" required:"true" doc:"in the order of the registry"`
}

// instance is how one instance of a service is.
type instance struct {
	URL      string        `json:"url" required:"true"`
	Status   branch.Status `json:"status" enum:"healthy,unhealthy,unreachable" required:"true"`
	Degraded bool          `json:"degraded" required:"true" doc:"healthy, but it warns"`
	Seconds  float64       `json:"response_time" required:"true" doc:"in seconds: until it answered, or was given up"`
	Version  string        `json:"version,omitempty" doc:"as it says; absent when it does not"`
	Checked  time.Time     `json:"last_check_time" required:"true" doc:"when it was asked"`
	Error    string        `json:"error,omitempty" doc:"why it is not well; absent when it is"`
}

// statistic sums up the checks of a service.
type statistic struct {
	Total       uint64     `json:"total_checks" required:"true" doc:"rounds in which the service was asked, since the start"`
	Healthy     uint64     `json:"healthy_checks" required:"true"`
	Unhealthy   uint64     `json:"unhealthy_checks" required:"true" doc:"rounds in which it answered, and was not well"`
	Unreachable uint64     `json:"unreachable_checks" required:"true" doc:"rounds in which no instance answered"`
	Mean        float64    `json:"avg_response_time" required:"true" doc:"of answers, in seconds"`
	Last        *time.Time `json:"last_check_time" doc:"null before the first"`
	Uptime      float64    `json:"uptime_percentage" required:"true" doc:"share of checks that found it healthy, 0 to 100"`
}

type servicesAnswer struct {
	Health     map[string]health    `json:"health_status" required:"true" doc:"by service"`
	Statistics map[string]statistic `json:"statistics" required:"true" doc:"by service, since the start"`
	Timestamp  time.Time            `json:"timestamp" required:"true"`
}

type serviceAnswer struct {
	Service    string          `json:"service_name" required:"true"`
	Current    health          `json:"current_status" required:"true" doc:"as the last round of checks found it"`
	Statistics statistic       `json:"statistics" required:"true" doc:"since the start"`
	Recent     []branch.Point  `json:"recent_checks" required:"true" doc:"oldest first"`
	Changes    []branch.Change `json:"changes" required:"true" doc:"the latest first"`
	Timestamp  time.Time       `json:"timestamp" required:"true"`
}

type checkedAnswer struct {
	Success   bool              `json:"success" required:"true" doc:"every service was asked, whatever it said"`
	Message   string            `json:"message" required:"true" doc:"whether all are healthy, for people"`
	Results   map[string]health `json:"results" required:"true" doc:"by service"`
	Services  counted           `json:"services" required:"true" doc:"how many are how"`
	Timestamp time.Time         `json:"timestamp" required:"true"`
}

type historyAnswer struct {
	Changes   []branch.Change `json:"changes" required:"true" doc:"the latest first"`
	Count     int             `json:"count" required:"true" doc:"of this answer"`
	Timestamp time.Time       `json:"timestamp" required:"true"`
}

// Bounds of the history.
const (
	shownChanges = 100
	maxChanges   = 10_000
)

func (f *service) healthRoutes() []chassis.Route {
	all := []chassis.Response{{Body: checkedAnswer{}}}
	return []chassis.Route{
		{Method: http.MethodGet, Path: base + "overview", ID: "overview", Tag: tagHealth, Summary: "Everything at a glance",
			Responses: []chassis.Response{{Body: overview{}}}, Handler: f.overview},
		{Method: http.MethodGet, Path: base + "services", ID: "services", Tag: tagHealth, Summary: "Health of every service",
			Description: "As the last round of checks found it. A degraded service is healthy with `degraded` true.",
			Responses:   []chassis.Response{{Body: servicesAnswer{}}}, Handler: f.services},
		{Method: http.MethodGet, Path: base + "services/{name}", ID: "service", Tag: tagHealth, Summary: "Health of one service, and its last checks",
			Params:    []chassis.Param{{Name: "name", In: "path", Example: "data-storage-service"}},
			Responses: []chassis.Response{{Body: serviceAnswer{}}}, Handler: answered(f.one)},
		{Method: http.MethodGet, Path: base + "history", ID: "healthHistory", Tag: tagHealth, Summary: "When services became healthy or ill",
			Params: []chassis.Param{
				{Name: "service", Doc: "Of one service only.", Example: "data-storage-service"},
				{Name: "limit", Type: 0, Default: shownChanges, Min: 1, Max: maxChanges},
			},
			Responses: []chassis.Response{{Body: historyAnswer{}}}, Handler: answered(f.history)},
		{Method: http.MethodGet, Path: base + "system", ID: "system", Tag: tagHealth, Summary: "The machine: CPU, memory, disks, network, files, clock",
			Responses: []chassis.Response{{Body: host.Sample{}}}, Handler: f.system},
		{Method: http.MethodPost, Path: "/health-check-all", ID: "healthCheckAllAtRoot", Tag: tagHealth, Summary: "Check every service now",
			Responses: all, Handler: f.checkAll},
		{Method: http.MethodPost, Path: base + "health-check-all", ID: "healthCheckAll", Tag: tagHealth, Summary: "Check every service now",
			Responses: all, Handler: f.checkAll},
	}
}

func (f *service) overview(w http.ResponseWriter, r *http.Request) error {
	return chassis.WriteJSON(w, r, http.StatusOK, f.makeOverview(r.Context()))
}

func (f *service) makeOverview(ctx context.Context) overview {
	now := f.Now()
	o := overview{Timestamp: now, Uptime: max(now.Sub(f.Branch.Started()).Seconds(), 1e-9), Services: count(f.Branch.Standings())}
	o.Stats = f.makeStats()
	for _, a := range f.activeAlerts(ctx) {
		o.Alerts.Active++
		if a.Severity == "critical" {
			o.Alerts.Critical++
		} else {
			o.Alerts.Warning++
		}
	}
	s, ok := f.Branch.Host()
	if !ok {
		return o
	}
	o.Resources = resources{
		CPU: s.CPU.UsagePercent, Memory: s.Memory.UsagePercent, Available: float64(s.Memory.AvailableBytes) / gigabyte,
		OpenFiles: s.Process.OpenFiles, MaxFiles: s.Process.MaxOpenFiles, Clock: &s.Clock,
	}
	if d, ok := s.DataDisk(); ok {
		o.Resources.Disk, o.Resources.DiskFree = d.UsagePercent, float64(d.FreeBytes)/gigabyte
	}
	for _, i := range s.Network {
		o.Resources.ReceiveRate += i.ReceiveRate
		o.Resources.SendRate += i.SendRate
	}
	return o
}

func (f *service) makeStats() stats {
	s := stats{Rounds: f.Branch.Rounds(), Reports: len(f.Branch.Reports(1 << 20))}
	for _, each := range f.Branch.Standings() {
		s.Checks += each.Statistic.Total
		s.Failed += each.Statistic.Unhealthy + each.Statistic.Unreachable
		if last := each.Statistic.Last; !last.IsZero() && (s.LastCheck == nil || last.After(*s.LastCheck)) {
			s.LastCheck = &last
		}
	}
	tree := f.Tree.Snapshot()
	s.Actors, s.DeadLetters = len(tree.Actors), tree.DeadLetters
	for i := range tree.Actors {
		if tree.Actors[i].BackoffUntil != nil {
			s.ActorsFailed++
		}
	}
	return s
}

func count(all []branch.Standing) counted {
	c := counted{Total: len(all)}
	for i := range all {
		switch all[i].Status {
		case branch.Healthy:
			c.Healthy++
		case branch.Unhealthy, branch.Unreachable:
			c.Unhealthy++
		}
		if all[i].Degraded {
			c.Degraded++
		}
	}
	c.Percentage = 100 * float64(c.Healthy) / float64(max(c.Total, 1))
	return c
}

func (f *service) services(w http.ResponseWriter, r *http.Request) error {
	all := f.Branch.Standings()
	out := servicesAnswer{Health: shownAll(all), Statistics: map[string]statistic{}, Timestamp: f.Now()}
	for i := range all {
		out.Statistics[all[i].Service] = summed(all[i].Statistic)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func shownAll(all []branch.Standing) map[string]health {
	out := map[string]health{}
	for i := range all {
		out[all[i].Service] = shown(&all[i])
	}
	return out
}

func shown(s *branch.Standing) health {
	h := health{Status: s.Status, Degraded: s.Degraded, Seconds: s.Took.Seconds(), Since: s.Since, Error: s.Cause, Instances: []instance{}}
	for i := range s.Instances {
		c := &s.Instances[i]
		if h.Details == nil {
			h.Details = c.Details
		}
		h.Instances = append(h.Instances, instance{
			URL: c.URL, Status: c.Status, Degraded: c.Degraded, Seconds: c.Took.Seconds(), Version: c.Version, Checked: c.At, Error: c.Cause,
		})
	}
	return h
}

func summed(s branch.Statistic) statistic {
	out := statistic{
		Total: s.Total, Healthy: s.Healthy, Unhealthy: s.Unhealthy, Unreachable: s.Unreachable, Mean: s.Mean.Seconds(), Uptime: s.Uptime(),
	}
	if !s.Last.IsZero() {
		out.Last = &s.Last
	}
	return out
}

func (f *service) one(w http.ResponseWriter, r *http.Request) error {
	name, err := chassis.PathParam(r, "name")
	if err != nil {
		return err
	}
	standing, recent, err := f.Branch.Standing(name)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, serviceAnswer{
		Service: name, Current: shown(&standing), Statistics: summed(standing.Statistic), Recent: recent,
		Changes: f.Branch.Changes(name, shownChanges), Timestamp: f.Now(),
	})
}

func (f *service) history(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	name, limit := q.Text("service", ""), q.Limit(shownChanges, maxChanges)
	if err := q.Err(); err != nil {
		return err
	}
	if name != "" {
		if _, _, err := f.Branch.Standing(name); err != nil {
			return err
		}
	}
	changes := f.Branch.Changes(name, limit)
	return chassis.WriteJSON(w, r, http.StatusOK, historyAnswer{Changes: changes, Count: len(changes), Timestamp: f.Now()})
}

func (f *service) system(w http.ResponseWriter, r *http.Request) error {
	s, ok := f.Branch.Host()
	if !ok {
		return chassis.Unavailable(time.Second, "the machine was not read yet")
	}
	return chassis.WriteJSON(w, r, http.StatusOK, s)
}

func (f *service) checkAll(w http.ResponseWriter, r *http.Request) error {
	all, err := f.Branch.CheckAll(r.Context())
	if err != nil {
		return err
	}
	c := count(all)
	message := "all services are healthy"
	if c.Unhealthy > 0 {
		message = "some services are not healthy"
	}
	return chassis.WriteJSON(w, r, http.StatusOK, checkedAnswer{Success: true, Message: message, Results: shownAll(all), Services: c, Timestamp: f.Now()})
}
