package monitoring_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/chassistest"
	"github.com/marketprism/marketprism/http/monitoring"
)

func checkAll(t *testing.T, s *chassis.Server) {
	t.Helper()
	for _, path := range []string{"/health-check-all", "/api/v1/health-check-all"} {
		a := chassistest.Call(t, s, http.MethodPost, path, "application/octet-stream", "")
		if a.Status != 200 || !strings.Contains(a.Body, `"success":true`) {
			t.Fatalf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

// TestAggregate: the service is well itself, and names the one that it never reached.
func TestAggregate(t *testing.T) {
	s, _ := serveWith(t, []string{monitoring.Service, "elsewhere"}, nil) // which runs nowhere
	checkAll(t, s)
	var answer struct {
		Status string
		Checks map[string]struct{ Status, Error string }
	}
	actorstest.Eventually(t, "a report that is not remembered", func() bool {
		get(t, s, "/health", 200, &answer)
		return answer.Status == chassis.Degraded
	})
	other := answer.Checks["elsewhere"]
	if answer.Status != chassis.Degraded || other.Status != "warn" || !strings.Contains(other.Error, "runs nowhere") {
		t.Errorf("the aggregate is %+v", answer)
	}
	if _, itself := answer.Checks[monitoring.Service]; itself {
		t.Error("it checks itself")
	}
	var all struct {
		Health map[string]struct {
			Status   string
			Seconds  float64 `json:"response_time"`
			Error    string
			Degraded bool
		} `json:"health_status"`
		Statistics map[string]struct {
			Total  int     `json:"total_checks"`
			Uptime float64 `json:"uptime_percentage"`
		}
	}
	get(t, s, "/api/v1/services", 200, &all)
	own, gone := all.Health[monitoring.Service], all.Health["elsewhere"]
	if own.Status != "healthy" || own.Seconds <= 0 || own.Degraded {
		t.Errorf("itself: %+v", own)
	}
	if gone.Status != "unreachable" || gone.Error == "" {
		t.Errorf("elsewhere: %+v", gone)
	}
	if st := all.Statistics[monitoring.Service]; st.Total < 2 || st.Uptime != 100 {
		t.Errorf("statistics %+v", st)
	}
	var view struct {
		Services struct {
			Total, Healthy, Unhealthy int
			Percentage                float64 `json:"health_percentage"`
		}
		Resources struct {
			Memory float64 `json:"memory_usage_percent"`
			Disk   float64 `json:"disk_free_gb"`
		} `json:"system_resources"`
	}
	get(t, s, "/api/v1/overview", 200, &view)
	if v := view.Services; v.Total != 2 || v.Healthy != 1 || v.Unhealthy != 1 || v.Percentage != 50 {
		t.Errorf("services %+v", v)
	}
	if view.Resources.Memory <= 0 || view.Resources.Disk <= 0 {
		t.Errorf("resources %+v", view.Resources)
	}
	for path, status := range map[string]int{
		"/api/v1/services/elsewhere": 200, "/api/v1/services/nobody": 404, "/api/v1/history": 200, "/api/v1/history?service=nobody": 404,
		"/api/v1/history?limit=0": 422, "/api/v1/system": 200,
	} {
		get(t, s, path, status, nil)
	}
}

// TestReport: made, listed, and read as JSON and as a page that may have its style.
func TestReport(t *testing.T) {
	s, _ := serveWith(t, []string{monitoring.Service, "elsewhere"}, nil) // which runs nowhere
	checkAll(t, s)
	get(t, s, "/api/v1/reports/latest", 404, nil)
	for _, path := range []string{"/generate-report", "/api/v1/generate-report"} {
		if a := chassistest.Call(t, s, http.MethodPost, path, "", ""); a.Status != 200 {
			t.Fatalf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	var list struct {
		Reports []struct {
			ID        string   `json:"report_id"`
			Unhealthy []string `json:"unhealthy_services"`
			Links     struct{ HTML string }
		}
	}
	get(t, s, "/api/v1/reports", 200, &list)
	if len(list.Reports) != 2 || len(list.Reports[0].Unhealthy) != 1 {
		t.Fatalf("reports %+v", list)
	}
	var body struct {
		ID string `json:"report_id"`
	}
	get(t, s, "/api/v1/reports/latest", 200, &body)
	if body.ID != list.Reports[0].ID {
		t.Errorf("the latest is %s", body.ID)
	}
	page := chassistest.Call(t, s, http.MethodGet, list.Reports[1].Links.HTML, "", "")
	if page.Status != 200 || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(page.Header.Get("Content-Security-Policy"), "style-src 'sha256-") {
		t.Errorf("%d %v", page.Status, page.Header)
	}
	for _, want := range []string{"1 of 2 services are not well", "elsewhere", "runs nowhere", list.Reports[1].ID, "</html>"} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	get(t, s, "/api/v1/reports/latest?format=pdf", 422, nil)
}
