package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/sony/gobreaker/v2"

	branch "github.com/marketprism/marketprism/actors/gateway"
	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/http/chassis"
)

// status is the answer of gateway/status.
type status struct {
	Service        string    `json:"service" enum:"api-gateway" required:"true"`
	Version        string    `json:"version" required:"true"`
	Status         string    `json:"status" enum:"running" required:"true"`
	Timestamp      time.Time `json:"timestamp" required:"true"`
	Uptime         float64   `json:"uptime" required:"true" doc:"seconds"`
	Config         settings  `json:"config" required:"true" doc:"settings in force"`
	Services       int       `json:"registered_services" required:"true" doc:"services that requests can be sent to"`
	ActiveBreakers int       `json:"active_circuit_breakers" required:"true" doc:"instances whose circuit breaker is not closed"`
	CacheSize      int       `json:"cache_size" required:"true" doc:"answers that are kept"`
	InFlight       int       `json:"requests_in_flight" required:"true" doc:"without streams"`
	Streams        int       `json:"streams_in_flight" required:"true" doc:"WebSockets and event streams"`
}

// settings are those in force.
type settings struct {
	Auth     bool    `json:"enable_auth" required:"true" doc:"whether an identity is demanded"`
	Rates    bool    `json:"enable_rate_limiting" required:"true" doc:"whether clients have a rate that they may not exceed"`
	Breakers bool    `json:"enable_circuit_breaker" required:"true" doc:"whether instances that fail are not asked for a while"`
	CacheTTL float64 `json:"cache_ttl" required:"true" doc:"seconds; 0 when nothing is kept"`
}

// stats is the answer of gateway/stats.
type stats struct {
	Requests  requestStats            `json:"request_stats" required:"true" doc:"of all services, since the start"`
	Breakers  map[string]breakerStats `json:"circuit_breaker_stats" required:"true" doc:"by service"`
	Cache     cacheStats              `json:"cache_stats" required:"true" doc:"of answers that are kept"`
	Limits    limitStats              `json:"rate_limiter_stats" required:"true" doc:"limits of clients, and of what is under way"`
	Timestamp time.Time               `json:"timestamp" required:"true"`
}

type requestStats struct {
	Total      uint64 `json:"total_requests" required:"true" doc:"that were sent on"`
	Successful uint64 `json:"successful_requests" required:"true" doc:"answered by the service, whatever the status"`
	Failed     uint64 `json:"failed_requests" required:"true" doc:"sent on, and not answered: not reached, broken off, too late, or the client left"`
	Limited    uint64 `json:"rate_limited_requests" required:"true" doc:"refused because a client exceeded its rate"`
	Trips      uint64 `json:"circuit_breaker_trips" required:"true" doc:"times that a breaker opened"`
	Hits       uint64 `json:"cache_hits" required:"true" doc:"answered with what was kept"`
	Misses     uint64 `json:"cache_misses" required:"true" doc:"that could have been, and nothing fresh was kept"`
	Repeated   uint64 `json:"repeated_requests" required:"true" doc:"sent a further time"`
}

type breakerStats struct {
	State          string         `json:"state" enum:"closed,half-open,open,none" required:"true" doc:"the best of its instances'"`
	Trips          uint64         `json:"trips" required:"true" doc:"times that a breaker of an instance opened, since the start"`
	Ejections      uint64         `json:"ejections" required:"true" doc:"times that an instance was passed over for a while, since the start"`
	Requests       uint64         `json:"requests" required:"true" doc:"that were sent on, since the start"`
	Failed         uint64         `json:"failed_requests" required:"true" doc:"of these, those that were not answered: not reached, broken off, too late, or the client left"`
	Repeats        uint64         `json:"repeats" required:"true" doc:"requests that were sent a further time, since the start"`
	RepeatsRefused uint64         `json:"repeats_refused" required:"true" doc:"for which the budget did not suffice"`
	Instances      []instanceView `json:"instances" required:"true"`
}

type cacheStats struct {
	Enabled  bool    `json:"enabled" required:"true" doc:"whether answers are kept"`
	Entries  int     `json:"entries" required:"true" doc:"answers that are kept"`
	Bytes    int64   `json:"bytes" required:"true" doc:"that these take"`
	MaxBytes int64   `json:"max_bytes" required:"true" doc:"that they may take"`
	Hits     uint64  `json:"hits" required:"true" doc:"requests answered with what was kept, since the start"`
	Misses   uint64  `json:"misses" required:"true" doc:"requests that could have been, and nothing fresh was kept, since the start"`
	Evicted  uint64  `json:"evicted" required:"true" doc:"answers that were forgotten early for want of room, since the start"`
	HitRate  float64 `json:"hit_rate" required:"true" doc:"0 to 1"`
}

type limitStats struct {
	Enabled        bool   `json:"enabled" required:"true" doc:"whether clients have a rate that they may not exceed"`
	Clients        int    `json:"clients" required:"true" doc:"whose rate is remembered"`
	Limited        uint64 `json:"rate_limited_requests" required:"true" doc:"refused because a client exceeded its rate, since the start"`
	Forgotten      uint64 `json:"forgotten_clients" required:"true" doc:"early, because there were too many"`
	InFlight       int    `json:"requests_in_flight" required:"true" doc:"under way now, without streams"`
	MaxInFlight    int    `json:"max_requests_in_flight" required:"true" doc:"that may be under way, without streams"`
	Overloaded     uint64 `json:"overloaded_requests" required:"true" doc:"refused because too many were under way"`
	Streams        int    `json:"streams_in_flight" required:"true" doc:"WebSockets and event streams that are open now"`
	MaxStreams     int    `json:"max_streams_in_flight" required:"true" doc:"WebSockets and event streams that may be open"`
	StreamsRefused uint64 `json:"refused_streams" required:"true" doc:"because too many were open, since the start"`
}

// instanceView is one instance.
type instanceView struct {
	Host       string     `json:"host" required:"true"`
	Port       int        `json:"port" required:"true"`
	State      string     `json:"state" enum:"unknown,healthy,unhealthy,ejected" required:"true" doc:"unknown: not probed yet, and used; ejected: the others are preferred for a while"`
	Breaker    string     `json:"breaker" enum:"closed,half-open,open,none" required:"true" doc:"none: there are no breakers"`
	InFlight   int        `json:"requests_in_flight" required:"true" doc:"sent to it, under way now"`
	Window     uint32     `json:"window_requests" required:"true" doc:"that the breaker looks back at"`
	Failures   uint32     `json:"window_failures" required:"true" doc:"of these, those that failed"`
	Probe      string     `json:"probe_endpoint" required:"true" doc:"what is asked whether it takes requests"`
	Fault      string     `json:"fault" required:"true" doc:"what the last probe found; empty when it passed"`
	LastCheck  *time.Time `json:"last_health_check" doc:"null before the first probe"`
	Registered bool       `json:"registered_by_client" required:"true" doc:"somebody registered it; false: the registry of the program's own services knows it"`
	Since      time.Time  `json:"registered_at" required:"true" doc:"when it was first known"`
}

func viewOf(v upstream.View) instanceView {
	out := instanceView{
		Host: v.Host, Port: v.Port, State: string(v.State), Breaker: breakerWord(v.Breaker), InFlight: v.Under,
		Window: v.Counts.TotalSuccesses + v.Counts.TotalFailures, Failures: v.Counts.TotalFailures,
		Probe: v.ProbePath, Fault: v.Fault, Registered: v.Registered, Since: v.Since,
	}
	if !v.Probed.IsZero() {
		out.LastCheck = &v.Probed
	}
	return out
}

func breakerWord(state string) string {
	if state == "" {
		return "none"
	}
	return state
}

func (f *service) ownRoutes() []chassis.Route {
	return append([]chassis.Route{
		{Method: http.MethodGet, Path: base + "status", ID: "gatewayStatus", Tag: tagOwn, Summary: "How the gateway is",
			Responses: []chassis.Response{{Body: status{}}}, Handler: f.status},
		{Method: http.MethodGet, Path: base + "stats", ID: "gatewayStats", Tag: tagOwn, Summary: "Requests, breakers, kept answers, limits",
			Responses: []chassis.Response{{Body: stats{}}}, Handler: f.stats},
	}, f.serviceRoutes()...)
}

func (f *service) status(w http.ResponseWriter, r *http.Request) error {
	c, now := f.Branch.Config(), f.Now()
	open := 0
	for _, u := range f.Branch.Upstreams() {
		for _, i := range f.Branch.Figures(u).Instances {
			if breakerWord(i.Breaker) != "none" && i.Breaker != gobreaker.StateClosed.String() {
				open++
			}
		}
	}
	s := status{
		Service: ownStatus, Version: f.Version, Status: "running", Timestamp: now, Uptime: max(now.Sub(f.started).Seconds(), 1e-9),
		Config:   settings{Auth: f.Auth != nil, Rates: c.Limits.Enabled, Breakers: c.Upstreams.Breaker.Enabled},
		Services: len(f.Branch.Upstreams()), ActiveBreakers: open, CacheSize: f.Branch.CacheFigures().Entries,
		InFlight: f.Branch.Requests().Now(), Streams: f.Branch.Streams().Now(),
	}
	if c.Cache.Enabled {
		s.Config.CacheTTL = c.Cache.TTL.Seconds()
	}
	return chassis.WriteJSON(w, r, http.StatusOK, s)
}

func (f *service) stats(w http.ResponseWriter, r *http.Request) error {
	c, limits, kept := f.Branch.Config(), f.Branch.LimitFigures(), f.Branch.CacheFigures()
	out := stats{Breakers: map[string]breakerStats{}, Timestamp: f.Now()}
	for _, u := range f.Branch.Upstreams() {
		s := f.Branch.Figures(u)
		out.Breakers[u.Service()] = breakersOf(s)
		out.Requests.Total += s.Requests
		out.Requests.Failed += s.Failed
		out.Requests.Trips += s.Trips
		out.Requests.Repeated += s.Repeats
	}
	out.Requests.Successful = out.Requests.Total - out.Requests.Failed
	out.Requests.Limited, out.Requests.Hits, out.Requests.Misses = limits.Refused, kept.Hits, kept.Misses
	out.Cache = cacheStats{
		Enabled: c.Cache.Enabled, Entries: kept.Entries, Bytes: kept.Bytes, MaxBytes: kept.MaxBytes, Hits: kept.Hits, Misses: kept.Misses, Evicted: kept.Evicted,
	}
	if asked := kept.Hits + kept.Misses; asked > 0 {
		out.Cache.HitRate = float64(kept.Hits) / float64(asked)
	}
	requests, streams := f.Branch.Requests(), f.Branch.Streams()
	out.Limits = limitStats{
		Enabled: c.Limits.Enabled, Clients: limits.Clients, Limited: limits.Refused, Forgotten: limits.Forgotten,
		InFlight: requests.Now(), MaxInFlight: requests.Most(), Overloaded: limits.Overloaded,
		Streams: streams.Now(), MaxStreams: streams.Most(), StreamsRefused: limits.StreamsRefused,
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func breakersOf(s branch.ServiceFigures) breakerStats {
	out := breakerStats{
		State: "none", Trips: s.Trips, Ejections: s.Ejections, Requests: s.Requests, Failed: s.Failed,
		Repeats: s.Repeats, RepeatsRefused: s.RepeatsRefused, Instances: []instanceView{},
	}
	order := []string{gobreaker.StateClosed.String(), gobreaker.StateHalfOpen.String(), gobreaker.StateOpen.String(), "none"}
	best := len(order) - 1
	for _, i := range s.Instances {
		out.Instances = append(out.Instances, viewOf(i))
		for at, word := range order[:best] {
			if strings.EqualFold(word, i.Breaker) {
				best = at
				break
			}
		}
	}
	out.State = order[best]
	return out
}
