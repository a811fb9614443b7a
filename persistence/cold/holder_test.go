package cold

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/persistencetest"
	"github.com/marketprism/marketprism/persistence/scan"
)

// copyOf is a node's copy of ten trades, to be archived.
type copyOf struct {
	told
	s *Store
}

func (h *copyOf) Oldest(_ context.Context, kind market.Kind, shard int, _ time.Time) (scan.Unit, error) {
	if kind != market.KindTrade || shard != 0 || h.marks["trades j"] == 10 {
		return nil, nil
	}
	return tenTrades{h.s}, nil
}

type tenTrades struct{ s *Store }

func (tenTrades) Meta() part.Meta {
	return part.Meta{Kind: market.KindTrade, JournalID: "j", FirstSeq: 1, LastSeq: 10}
}
func (tenTrades) Rows() int64 { return 10 }
func (tenTrades) Streams() []scan.Extent {
	return []scan.Extent{{Stream: persistencetest.Instruments()[0].ID(), Min: noon, Max: noon + int64(9*time.Second)}}
}
func (u tenTrades) Merge(market.StreamID, int64, int64) *part.Merge {
	return merge(versions(u.s, 0, 10, 1))
}
func (tenTrades) Confirm(context.Context) error { return nil }
func (tenTrades) Release()                      {}

// suspended is a bucket whose user is suspended right before it makes the record of an
// archive.
type suspended struct {
	Bucket
	meanwhile func()
	refused   []string
}

func (b *suspended) Create(ctx context.Context, name string, data []byte) error {
	if b.meanwhile != nil && strings.HasPrefix(name, recordPrefix) && bytes.Contains(data, []byte(`"archived"`)) {
		meanwhile := b.meanwhile
		b.meanwhile = nil
		meanwhile()
	}
	err := b.Bucket.Create(ctx, name, data)
	if errors.Is(err, ErrExists) {
		b.refused = append(b.refused, name)
	}
	return err
}

// TestHolderOfBefore: who had the lease of the archive, and was suspended before its
// record, makes none when it wakes up: another has archived the same meanwhile, and has the
// number. It finds that everything is there, and each row is there once.
func TestHolderOfBefore(t *testing.T) {
	buckets(t, func(t *testing.T, b Bucket) {
		now := time.Unix(1_800_000_000, 0)
		slow := &suspended{Bucket: b}
		before, after := opened(t, slow, &now, nil), opened(t, b, &now, nil)
		archive := func(s *Store) persistence.ArchiveReport {
			t.Helper()
			hot := &copyOf{told{marks: map[string]uint64{}}, s}
			r, err := s.Archive(t.Context(), hot, 1, persistence.ArchiveOptions{})
			if err != nil || hot.marks["trades j"] != 10 {
				t.Errorf("%+v, up to %v, %v", r, hot.marks, err)
			}
			return r
		}
		slow.meanwhile = func() {
			if r := archive(after); r.Rows != 10 || r.Files != 1 {
				t.Errorf("who has the lease archived %+v", r)
			}
		}
		archive(before) // beside it there is the record that begins a manifest
		if len(slow.refused) != 1 || slow.refused[0] != recordName(2) {
			t.Errorf("who had the lease was refused %v, want %s", slow.refused, recordName(2))
		}
		s := opened(t, b, &now, nil)
		records, err := b.List(t.Context(), recordPrefix)
		if parts := s.Parts(); err != nil || len(records) != 2 || s.manifest.state.n != 2 || len(parts) != 1 || parts[0].Rows != 10 {
			t.Errorf("%d records, %v; %+v", len(records), err, parts)
		}
	})
}
