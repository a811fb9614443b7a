package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/marketprism/marketprism/http/chassis"
)

// addChecks adds what /health looks at.
func (f *service) addChecks(h *chassis.Health) {
	h.Add("store", f.checkStore)
	if f.Recorders != nil {
		h.Add("journal", f.checkRecorders)
	}
}

// checkStore fails when a reader cannot go on, and warns while publishing is late
// or a damaged file lies aside.
func (f *service) checkStore(context.Context) chassis.CheckResult {
	failures, warnings := f.Branch.Health()
	switch {
	case len(failures) > 0:
		return chassis.Failed(errors.Join(failures...))
	case len(warnings) > 0:
		return chassis.Warned(errors.Join(warnings...))
	}
	return chassis.Passed("readable, published in time")
}

// checkRecorders warns while the journal takes no records: what is stored can be
// read all the same.
func (f *service) checkRecorders(ctx context.Context) chassis.CheckResult {
	recorders, err := f.Recorders.Status(ctx)
	if err != nil {
		return chassis.Failed(fmt.Errorf("asking the recorders: %w", err))
	}
	var refusing []error
	for _, r := range recorders {
		if r.State == "refusing" {
			refusing = append(refusing, fmt.Errorf("shard %d refuses records: %s", r.Shard, r.Reason))
		}
	}
	if refusing != nil {
		return chassis.Warned(errors.Join(refusing...))
	}
	return chassis.Passed("taking records")
}
