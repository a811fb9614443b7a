package stream

import "github.com/marketprism/marketprism/internal/market"

// ChannelStats count what happened on one channel since the stream began.
type ChannelStats struct {
	Kind  market.Kind
	Proof Proof
	// Received counts records in, Records those emitted.
	Received, Records int64
	// FirstSeq and LastSeq are of emitted records.
	FirstSeq, LastSeq market.OptInt
	// LastTime is the TS of the newest record, LastReceived its receive time.
	LastTime, LastReceived int64
	Duplicates, OutOfOrder int64
	// Dropped counts book changes that a snapshot contained or that came while
	// none was to be had.
	Dropped int64
	Gaps    int64
	// Open counts holes not yet healed or marked.
	Open int64
	// Healed counts records recovered, by backfill or late arrival.
	Healed int64

	Resyncs                   int64
	ChecksumOK, ChecksumWrong int64
	Crossed                   int64
	// Suspect counts records emitted with [market.FlagSuspect].
	Suspect int64
}

// Verified is the number of emitted records that a sequence or a checksum proves.
func (c *ChannelStats) Verified() int64 {
	if c.Proof != Contiguous && c.Proof != Chained {
		return 0
	}
	return c.Records - c.Suspect
}

// Stats are the stream's channels in the order of their first record.
func (s *Stream) Stats() []ChannelStats {
	out := make([]ChannelStats, 0, len(s.order))
	for _, c := range s.order {
		st := c.stats
		st.Open = int64(len(c.holes))
		if c.outage != nil {
			st.Open++
		}
		out = append(out, st)
	}
	return out
}
