package client

import (
	"time"
)

// Quality is how complete a stream is.
type Quality struct {
	BookState       string           `json:"book_state,omitempty"` // live, stale, syncing
	Buckets         []QualityBucket  `json:"buckets,omitempty"`    // in order of time
	Channels        []QualityChannel `json:"channels"`
	CoveragePercent *float64         `json:"coverage_percent"` // live time over time observed; null before anything was observed
	Days            []QualityBucket  `json:"days,omitempty"`   // UTC days, in order of time
	Exchange        string           `json:"exchange"`
	From            *time.Time       `json:"from"`           // when observation began
	Gaps            []QualityGap     `json:"gaps"`           // newest first; in a list of streams the open ones alone
	GapsTruncated   bool             `json:"gaps_truncated"` // older gaps were left out
	Live            bool             `json:"live"`           // everything subscribed arrives, and the book is proven
	LiveSeconds     float64          `json:"live_seconds"`   // of that, without a gap that is open or marked
	Market          string           `json:"market"`
	Node            string           `json:"node,omitempty"`   // that collects it, where there are several
	ObservedSeconds float64          `json:"observed_seconds"` // of that time, what was to be covered: from the stream's first record, until now
	Records         int64            `json:"records"`          // stored in that time
	Resyncs         int64            `json:"resyncs"`
	// Ledger: coverage, verified, gaps, buckets and days are reckoned from what is stored, over any restart; memory: from what this process has seen: ledger, memory
	Source          string    `json:"source"`
	SourceReason    string    `json:"source_reason,omitempty"` // why it is memory
	Symbol          string    `json:"symbol"`
	To              time.Time `json:"to,omitzero"`      // end of the time asked about
	VerifiedPercent *float64  `json:"verified_percent"` // records proven by a sequence or a checksum, over all; null without records
}

// QualityBucket is how complete a stream was in one stretch of time.
type QualityBucket struct {
	CoveragePercent *float64  `json:"coverage_percent"`
	Gaps            int64     `json:"gaps"`
	Records         int64     `json:"records"`
	Seconds         float64   `json:"seconds"`
	Start           time.Time `json:"start"`
	VerifiedPercent *float64  `json:"verified_percent"`
}

// QualityChannel is one channel of a stream.
type QualityChannel struct {
	ChecksumsWrong  int64      `json:"checksums_wrong"`
	Duplicates      int64      `json:"duplicates"`
	FirstSeq        *int64     `json:"first_seq"`
	Gaps            int64      `json:"gaps"` // opened
	HealedGaps      int64      `json:"healed_gaps"`
	Kind            string     `json:"kind"`
	LastReceived    *time.Time `json:"last_received"`
	LastSeq         *int64     `json:"last_seq"`
	LastTime        *time.Time `json:"last_time"` // by the exchange's clock
	OpenGaps        int64      `json:"open_gaps"`
	Proof           string     `json:"proof"` // what proves the records: a sequence, a checksum, or nothing
	Records         int64      `json:"records"`
	Resyncs         int64      `json:"resyncs"`
	VerifiedRecords int64      `json:"verified_records"`
}

// QualityGap is one entry of the gap ledger.
type QualityGap struct {
	Cause         string     `json:"cause"`
	Channel       string     `json:"channel"`
	FromSeq       *int64     `json:"from_seq"`  // first missing
	FromTime      *time.Time `json:"from_time"` // of the last record before
	HealedRecords int64      `json:"healed_records"`
	Outcome       string     `json:"outcome"` // open, healed, marked
	ToSeq         *int64     `json:"to_seq"`  // last missing
	ToTime        *time.Time `json:"to_time"` // of the first record after; null while it is open
}

// Backfill is the fetching of a stream's past.
type Backfill struct {
	Calls        int64          `json:"calls"` // made to the exchange
	Created      *time.Time     `json:"created"`
	Doing        string         `json:"doing,omitempty"` // the part under way
	Exchange     string         `json:"exchange"`
	Finished     time.Time      `json:"finished,omitzero"`
	From         time.Time      `json:"from,omitzero"`
	Gaps         bool           `json:"gaps"`       // it is of the gap ledger
	GapsFound    int64          `json:"gaps_found"` // entries of the ledger that the exchange may have something of
	GapsHealed   int64          `json:"gaps_healed"`
	GapsLeft     int64          `json:"gaps_left"` // that are open still, and with the stream itself, which was asked to try again
	Market       string         `json:"market"`
	Missing      int64          `json:"missing"` // that the exchange did not give, where that can be told
	OperationID  string         `json:"operation_id"`
	Parts        []string       `json:"parts"`             // what it is of, in order
	Problem      string         `json:"problem,omitempty"` // why it failed, or what it waits for
	Progress     float64        `json:"progress"`
	Records      int64          `json:"records"` // fetched, and in the journal
	Resumed      int64          `json:"resumed"` // how many processes took it up again; the counts are of the last one
	Started      time.Time      `json:"started,omitzero"`
	State        string         `json:"state"`  // queued, running, succeeded, cancelled, failed
	Stored       int64          `json:"stored"` // that were there before, and not asked for
	Symbol       string         `json:"symbol"`
	To           time.Time      `json:"to,omitzero"`
	Unobtainable []Unobtainable `json:"unobtainable"` // entries of the ledger that stay marked, and why
}

// Unobtainable is what the exchange cannot give any more.
type Unobtainable struct {
	Channel string `json:"channel,omitempty"`
	Entries int64  `json:"entries"`
	Reason  string `json:"reason,omitempty"`
}

// BackfillRequest is what is to be fetched; without a time, what the gap ledger says is missing.
type BackfillRequest struct {
	From time.Time `json:"from,omitzero"`  // beginning, inclusive
	Gaps bool      `json:"gaps,omitempty"` // what the gap ledger says is missing; so too without a time
	// Kinds that the exchange remembers; without any, a range is of those of them that are collected, and gaps are those of every channel
	Kinds []string  `json:"kinds,omitempty"`
	To    time.Time `json:"to,omitzero"` // end, exclusive; now without it
}

// Imported is what came of records that were sent.
type Imported struct {
	Known     int64     `json:"known"`   // that an earlier import had stored already
	Records   int64     `json:"records"` // that the journal has now
	Success   bool      `json:"success"`
	Timestamp time.Time `json:"timestamp"`
}
