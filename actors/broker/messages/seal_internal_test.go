package messages

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/bucket/buckettest"
)

// behind is a bucket that refuses what another has made, and does not have it yet.
type behind struct {
	bucket.Store
	reads int // that find nothing
}

// Get implements bucket.Store.
func (b *behind) Get(ctx context.Context, key string) (bucket.Document, bool, error) {
	if b.reads--; b.reads >= 0 {
		return bucket.Document{}, false, nil
	}
	return b.Store.Get(ctx, key)
}

// TestSealElsewhere: the key that another node has just made is waited for.
func TestSealElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := buckettest.New()
		first, err := sealOf(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		second, err := sealOf(t.Context(), &behind{Store: store, reads: 3})
		if err != nil {
			t.Fatal(err)
		}
		if text, err := second.Open("a", first.Sign("a", "text")); err != nil || text != "text" {
			t.Errorf("what one has signed the other reads as %q, %v", text, err)
		}
		if _, err := sealOf(t.Context(), &behind{Store: store, reads: sealTries}); err == nil {
			t.Error("a key that never comes is no error")
		}
	})
}
