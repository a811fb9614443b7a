package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/journal"
)

// Standing says how the store and the journal stand to each other.
type Standing struct {
	JournalID    string          `json:"journal_id" doc:"the journal's"`
	StoreID      string          `json:"store_journal_id" doc:"of the journal that the store was filled from; empty when nothing was ever published"`
	HighestEpoch int64           `json:"highest_epoch" doc:"highest ownership number of any stored stream"`
	Shards       []ShardStanding `json:"shards" doc:"by number"`
}

// ShardStanding is one shard's.
type ShardStanding struct {
	Shard int `json:"shard" doc:"its number, from 0"`
	// Verdict is one of the Verdict constants, Detail what is wrong.
	Verdict  string `json:"verdict" doc:"joined (they belong together), new (the store is empty, and takes any journal), other_journal (the store was filled from another), rolled_back (the journal is an older copy), forked (an older copy that was written to since), purged (the journal has forgotten what the store lacks) or faulted (they belong together, and reading has stopped for another reason)"`
	Detail   string `json:"detail,omitempty" doc:"what is wrong; absent when nothing is"`
	Position uint64 `json:"position" doc:"up to where the store has the journal durably"`
	Applied  uint64 `json:"applied" doc:"up to where queries see the journal"`
	First    uint64 `json:"journal_first" doc:"first position that the journal holds"`
	Last     uint64 `json:"journal_last" doc:"last position that the journal holds"`
}

// The verdicts.
const (
	VerdictJoined     = "joined"        // they belong together
	VerdictNew        = "new"           // the store is empty, and takes any journal
	VerdictOther      = "other_journal" // the store was filled from another one
	VerdictRolledBack = "rolled_back"   // the journal is an older copy
	VerdictForked     = "forked"        // an older copy that was written to since
	VerdictPurged     = "purged"        // the store is an older copy, the journal has forgotten what it lacks
	VerdictFaulted    = "faulted"       // they belong together, and reading has stopped for another reason
)

// Adoptable reports whether [Handle.Adopt] joins them again.
func (s *ShardStanding) Adoptable() bool {
	return s.Verdict == VerdictOther || s.Verdict == VerdictRolledBack || s.Verdict == VerdictForked
}

func verdict(err error) string {
	switch {
	case err == nil:
		return VerdictJoined
	case errors.Is(err, journal.ErrOtherJournal):
		return VerdictOther
	case errors.Is(err, journal.ErrRolledBack):
		return VerdictRolledBack
	case errors.Is(err, journal.ErrForked):
		return VerdictForked
	case errors.Is(err, journal.ErrPurged):
		return VerdictPurged
	}
	return VerdictFaulted
}

// Standing holds the journal against the store, now. Errors: those of opening the
// journal and of asking it.
func (h *Handle) Standing(ctx context.Context) (Standing, error) {
	j, err := h.options.Journal(ctx)
	if err != nil {
		return Standing{}, err
	}
	all := Standing{JournalID: j.ID(), HighestEpoch: h.highestEpoch()}
	for k := range h.shards {
		s, pos, _, err := h.standing(ctx, j, k)
		if err != nil {
			return all, err
		}
		all.StoreID = pos.JournalID
		all.Shards = append(all.Shards, s)
	}
	return all, nil
}

// standing also returns why the verdict is what it is; nil for a good one.
func (h *Handle) standing(ctx context.Context, j *journal.Journal, k int) (s ShardStanding, pos persistence.Position, why, err error) {
	pos = h.options.Engine.Position(k)
	s = ShardStanding{Shard: k, Position: pos.Seq, Applied: h.options.Engine.Applied(k)}
	st, why := j.Compare(ctx, pos, s.Applied)
	if h.shards[k].standby() != "" && errors.Is(why, journal.ErrPurged) { // another has read on
		why = nil
	}
	if why != nil && !journal.IsForeign(why) && !errors.Is(why, journal.ErrPurged) {
		return s, pos, nil, fmt.Errorf("asking for shard %d of the journal: %w", k, why)
	}
	s.First, s.Last = st.First, st.Last
	// What has been read is not asked twice: a journal that went on may look right.
	if fault := h.shards[k].faulted(); why == nil && fault != nil {
		why = fault
	}
	if s.Verdict = verdict(why); why != nil {
		s.Detail = why.Error()
	} else if pos.JournalID == "" {
		s.Verdict = VerdictNew
	}
	return s, pos, why, nil
}

func (h *Handle) highestEpoch() (highest int64) {
	for k := range h.shards {
		for _, e := range h.options.Engine.Position(k).Epochs {
			highest = max(highest, e)
		}
	}
	return highest
}

// Verify says whether a shard of a journal is the one that the store reads; it is
// made for the recorders of this node. Errors: one that matches
// persistence.ErrForeign; others mean that it cannot be said.
func (h *Handle) Verify(ctx context.Context, j *journal.Journal, shard int) error {
	pos := h.options.Engine.Position(shard)
	// What is applied may be ahead of a question that was sent before.
	_, err := j.Compare(ctx, pos, pos.Seq)
	if h.shards[shard].standby() != "" && errors.Is(err, journal.ErrPurged) { // another has read on
		return nil
	}
	if err == nil || !journal.IsForeign(err) {
		if fault := h.shards[shard].faulted(); journal.IsForeign(fault) {
			err = fault
		}
	}
	if journal.IsForeign(err) {
		return fmt.Errorf("%w: %w", persistence.ErrForeign, err)
	}
	return err
}

// Adoption says what joining a shard of the journal to the store came to.
type Adoption struct {
	ShardStanding
	Joined           uint64     `json:"joined_at" doc:"the position from which they go on together; 0 when the shard needed nothing"`
	RecoveredBatches int        `json:"recovered_batches" doc:"in the journal and not in the store before, now in both"`
	RecoveredRecords int        `json:"recovered_records" doc:"in the journal and not in the store before, now in both"`
	DamagedBatches   int        `json:"damaged_batches" doc:"in the journal, and could not be read"`
	LostAfter        uint64     `json:"lost_after_position" doc:"last position of the lost journal that the store has: what was acknowledged behind it is lost, unless it was recovered"`
	From             *time.Time `json:"lost_from,omitempty" doc:"earliest time of what may be lost: when the newest stored record was received; absent where none is stored"`
	To               *time.Time `json:"lost_to,omitempty" doc:"latest time of what may be lost: when it was adopted; absent where nothing is stored"`
	MarkedGaps       int        `json:"marked_gaps" doc:"entries that the gap ledger got for it"`
}
