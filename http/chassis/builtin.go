package chassis

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// tagService groups the routes that every service has.
const tagService = "service"

// Status is the answer of /api/v1/status where a façade has none of its own.
type Status struct {
	Service       string    `json:"service" required:"true"`
	Status        string    `json:"status" enum:"created,starting,ready,draining,stopped" required:"true"`
	Version       string    `json:"version" required:"true"`
	Timestamp     time.Time `json:"timestamp" required:"true"`
	StartTime     time.Time `json:"start_time" required:"true" doc:"when the service began"`
	UptimeSeconds float64   `json:"uptime_seconds" required:"true" doc:"since start_time"`
}

type probe struct {
	Service string `json:"service" required:"true"`
	Status  string `json:"status" required:"true" doc:"alive of livez, ready of readyz"`
}

// addBuiltIn adds the routes that every service has, except those that the
// façade has registered itself.
func (s *Server) addBuiltIn() error {
	health := []Response{
		{Doc: "healthy, or degraded by a warning", Body: HealthReport{}},
		{Status: http.StatusServiceUnavailable, Doc: "unhealthy", Body: HealthReport{}},
	}
	metrics := promhttp.HandlerFor(s.gatherer, promhttp.HandlerOpts{
		EnableOpenMetrics: true, DisableCompression: true,
		ErrorLog: zapErrors{s.log}, ErrorHandling: promhttp.ContinueOnError,
	})
	for _, r := range []Route{
		{Path: "/health", ID: "health", Summary: "Health of the service and of what it needs",
			Description: "A service may add sections of its own beside checks.", Responses: health, Handler: s.serveHealth},
		{Path: "/api/v1/health", ID: "healthBehindGateway", Summary: "Same as /health", Responses: health, Handler: s.serveHealth},
		{Path: "/livez", ID: "live", Summary: "The process answers", Responses: []Response{{Body: probe{}}}, Handler: s.serveLive},
		{Path: "/readyz", ID: "ready", Summary: "The service takes requests: neither starting nor draining",
			Responses: []Response{{Body: probe{}}}, Handler: s.serveReady},
		{Path: "/api/v1/status", ID: "status", Summary: "What the service is doing", Responses: []Response{{Body: Status{}}}, Handler: s.serveStatus},
		{Path: "/metrics", ID: "metrics", Summary: "Metrics as Prometheus text, or OpenMetrics when asked for",
			Responses: []Response{{Media: "text/plain", Body: ""}},
			Handler:   serveMetrics(metrics)},
		{Path: "/api/v1/metrics", ID: "metricsBehindGateway", Summary: "Same as /metrics",
			Responses: []Response{{Media: "text/plain", Body: ""}}, Handler: serveMetrics(metrics)},
		{Path: "/openapi.json", ID: "openapi", Summary: "This description, as OpenAPI 3.1", Handler: s.serveDocument},
		{Path: "/docs", ID: "docs", Summary: "This description, for people",
			Responses: []Response{{Media: "text/html", Body: ""}}, Handler: s.serveDocs},
		{Path: "/docs/docs.css", ID: "docsStyle", Summary: "Style of /docs",
			Responses: []Response{{Media: "text/css", Body: ""}}, Handler: s.serveDocsStyle},
	} {
		r.Method, r.Tag = http.MethodGet, tagService
		if s.known[r.Method+" "+r.Path] {
			continue
		}
		if err := s.add(r, true); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) error {
	report, further, err := s.health.Report(r.Context())
	if err != nil {
		return err
	}
	if s.gate != nil && !identified(r.Context()) {
		further = map[string]any{} // everybody may know whether it is well, and nothing of why
		report.Checks = nil
	}
	status := http.StatusOK
	if report.Status == Unhealthy {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	further["service"] = report.Service
	further["status"] = report.Status
	further["timestamp"] = report.Timestamp
	if report.Checks != nil {
		further["version"] = report.Version
		further["uptime_seconds"] = report.UptimeSeconds
		further["checks"] = report.Checks
	}
	return WriteJSON(w, r, status, further)
}

func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) error {
	return WriteJSON(w, r, http.StatusOK, probe{s.service, "alive"})
}

func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) error {
	state := s.State()
	if state != Ready {
		return Unavailable(defaultRetry, "the service is %s", state).WithCode("not_ready")
	}
	return WriteJSON(w, r, http.StatusOK, probe{s.service, state.String()})
}

func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request) error {
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	return WriteJSON(w, r, http.StatusOK, Status{
		Service: s.service, Status: s.State().String(), Version: s.version,
		Timestamp: s.now(), StartTime: started, UptimeSeconds: s.uptime(),
	})
}

// uptime is in seconds, above 0.
func (s *Server) uptime() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.now().Sub(s.started).Seconds(), 1e-9)
}

// serveMetrics answers with what is gathered. A client that leaves is an error once, and
// not one for each metric.
func serveMetrics(gathered http.Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		once := &firstError{ResponseWriter: w}
		gathered.ServeHTTP(once, r)
		return once.err
	}
}

// firstError keeps the first error of writing, after which it takes everything and
// writes nothing.
type firstError struct {
	http.ResponseWriter
	err error
}

// Write implements io.Writer.
func (w *firstError) Write(p []byte) (int, error) {
	if w.err == nil {
		_, w.err = w.ResponseWriter.Write(p)
	}
	return len(p), nil
}

type zapErrors struct{ log *zap.Logger }

func (l zapErrors) Println(v ...any) {
	l.log.Warn("collecting metrics failed", zap.Any("error", v))
}
