package rules_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/monitoring/rules"
)

// contested is a store in which another node writes just before, a few times.
type contested struct {
	*buckettest.Memory
	left int
}

func (s *contested) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if s.left > 0 {
		s.left--
		d, _, err := s.Get(ctx, key)
		if err == nil {
			_, err = s.Memory.Put(ctx, key, fmt.Appendf(nil, `{"group":"theirs %d"}`, s.left), d.Revision)
		}
		if err != nil {
			return 0, err
		}
	}
	return s.Memory.Put(ctx, key, value, revision)
}

// TestSaveAgainstOthers: what another writes at the same moments is written over, and who
// does not get to it says so.
func TestSaveAgainstOthers(t *testing.T) {
	for _, c := range []struct {
		conflicts int
		want      error
	}{{0, nil}, {1, nil}, {5, nil}, {6, bucket.ErrConflict}} {
		synctest.Test(t, func(t *testing.T) {
			store := &contested{Memory: buckettest.New(), left: c.conflicts}
			b := rules.NewBucket(store)
			err := b.Save(t.Context(), rules.Remembered{File: "f", Group: "ours"})
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("after %d conflicts: %v, want %v", c.conflicts, err, c.want)
			}
			kept, err := b.Load(t.Context())
			if err != nil || len(kept) != 1 || (kept[0].Group == "ours") != (c.want == nil) {
				t.Errorf("after %d conflicts there is %+v, %v", c.conflicts, kept, err)
			}
			if err := b.Save(t.Context(), rules.Remembered{File: "f", Group: "ours"}); err != nil {
				t.Errorf("the next time: %v", err)
			}
		})
	}
}
