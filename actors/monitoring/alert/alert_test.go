package alert_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

func TestLabels(t *testing.T) {
	ls := alert.LabelsOf(map[string]string{"b": "2", "a": "1", "empty": ""})
	if got, want := ls.String(), `{a="1", b="2"}`; got != want {
		t.Errorf("labels %s, want %s", got, want)
	}
	if ls.Get("b") != "2" || ls.Get("c") != "" || ls.Get("empty") != "" {
		t.Errorf("Get of %s", ls)
	}
	if got := ls.Only("b", "c").String(); got != `{b="2"}` {
		t.Errorf("Only %s", got)
	}
	text, err := json.Marshal(ls)
	if err != nil || string(text) != `{"a":"1","b":"2"}` {
		t.Errorf("JSON %s, %v", text, err)
	}
	var back alert.Labels
	if err := json.Unmarshal(text, &back); err != nil || back.Compare(ls) != 0 {
		t.Errorf("read back as %s, %v", back, err)
	}
	if ls.Compare(ls.Only("a")) <= 0 || ls.Only("a").Compare(ls) >= 0 {
		t.Error("fewer labels come first")
	}
}

// TestFingerprint: it is kept in logs that outlive a process, so it must not
// change between versions, and names and values must not run into each other.
func TestFingerprint(t *testing.T) {
	of := func(m map[string]string) string { return alert.LabelsOf(m).Fingerprint().String() }
	if got, want := of(map[string]string{"alertname": "RoleDown", "service": "broker"}), "d69f7e01e9caed8e"; got != want {
		t.Errorf("fingerprint %s, want %s", got, want)
	}
	if of(map[string]string{"a": "bc"}) == of(map[string]string{"ab": "c"}) {
		t.Error("two different label sets have one fingerprint")
	}
	if got := alert.Fingerprint(5).String(); got != "0000000000000005" {
		t.Errorf("written as %s", got)
	}
}

func TestState(t *testing.T) {
	for s := range alert.Resolved + 1 {
		text, err := s.MarshalText()
		var back alert.State
		if err != nil || back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%s is read back as %s (%v)", text, back, err)
		}
	}
	var s alert.State
	if s.UnmarshalText([]byte("unknown")) == nil {
		t.Error("an unknown state was taken")
	}
}

func TestEnds(t *testing.T) {
	at := time.Date(2024, 8, 8, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		alert  alert.Alert
		ends   time.Time
		firing bool // one minute after
	}{
		{"named", alert.Alert{State: alert.Firing, CheckedAt: at, Until: at.Add(2 * time.Minute)}, at.Add(2 * time.Minute), true},
		{"lapsed", alert.Alert{State: alert.Firing, CheckedAt: at, Until: at.Add(time.Minute)}, at.Add(time.Minute), false},
		{"unnamed", alert.Alert{State: alert.Firing, CheckedAt: at}, at.Add(alert.Lapse), true},
		{"resolved", alert.Alert{State: alert.Resolved, CheckedAt: at, ResolvedAt: at, Until: at.Add(time.Hour)}, at, false},
		{"pending", alert.Alert{State: alert.Pending, CheckedAt: at}, at.Add(alert.Lapse), false},
	} {
		if got := tt.alert.Ends(); !got.Equal(tt.ends) {
			t.Errorf("%s ends %s, want %s", tt.name, got, tt.ends)
		}
		if got := tt.alert.FiringAt(at.Add(time.Minute)); got != tt.firing {
			t.Errorf("%s firing %v, want %v", tt.name, got, tt.firing)
		}
	}
}
