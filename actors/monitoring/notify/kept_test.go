package notify

import (
	"testing"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: what was told, by whom, and what is not to be.
func TestKept(t *testing.T) {
	heritage.Check(t,
		heritage.Form{Name: "told", Of: entry{}},
		heritage.Form{Name: "fence", Of: holder{}},
		heritage.Form{Name: "silence", Of: Silence{}, Values: []any{Matchers{{Name: "alertname", Op: Equal, Value: "CollectorDown"}}}},
		heritage.Form{Name: "alert", Of: alert.Alert{}, Values: []any{alert.Firing, alert.LabelsOf(map[string]string{"alertname": "CollectorDown"})}},
	)
}
