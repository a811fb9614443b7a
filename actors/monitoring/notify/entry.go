package notify

import (
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// entry is what one destination was told last of one group. It is kept in the
// cluster's bucket, so that a restart, or another node, neither repeats nor forgets.
type entry struct {
	Destination string              `json:"destination"`
	GroupKey    string              `json:"group_key"`
	Firing      []alert.Fingerprint `json:"firing"`   // sorted
	Resolved    []alert.Fingerprint `json:"resolved"` // sorted
	At          time.Time           `json:"at"`
	// Fence is the fencing number of who told; 0 of one who stands alone, or had none.
	Fence uint64 `json:"fence,omitempty"`
	// Forget is when nobody needs it any more.
	Forget time.Time `json:"forget"`
}

// outdated says whether a destination has to be told again. The rules are those of
// Alertmanager's deduplication:
//
//  1. nobody was told yet: if anything fires;
//  2. an alert fires that was not told: yes;
//  3. nothing fires: if what was told last did;
//  4. an alert is resolved and that was not told, and it is to be: yes;
//  5. else when repeat has passed since.
func (e *entry) outdated(firing, resolved []alert.Fingerprint, tellsEnd bool, now time.Time, repeat time.Duration) bool {
	switch {
	case e == nil:
		return len(firing) > 0
	case !subset(firing, e.Firing):
		return true
	case len(firing) == 0:
		return len(e.Firing) > 0
	case tellsEnd && !subset(resolved, e.Resolved):
		return true
	}
	return !now.Before(e.At.Add(repeat))
}

// told says whether an alert's firing was told.
func (e *entry) told(f alert.Fingerprint) bool {
	if e == nil {
		return false
	}
	_, found := slices.BinarySearch(e.Firing, f)
	return found
}

// subset says whether all of some are among the others, which are sorted.
func subset(some, others []alert.Fingerprint) bool {
	for _, f := range some {
		if _, found := slices.BinarySearch(others, f); !found {
			return false
		}
	}
	return true
}
