package collector

import (
	"errors"
	"fmt"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
)

// Config is the collector's own settings; what concerns one exchange is in
// connectors.Config.
type Config struct {
	// BookDepth and BookInterval make book_snapshot records: so many levels a side,
	// at each multiple of the interval of the exchange's clock. 0 makes none.
	BookDepth    int           `yaml:"book_depth" doc:"Levels a side of the book_snapshot records that are made of a proven book; 0 makes none."`
	BookInterval time.Duration `yaml:"book_interval" doc:"Time between two book_snapshot records, at multiples of it by the exchange's clock; 0 makes none."`
	// BookTops publishes the best levels after every change of a book.
	BookTops bool `yaml:"book_tops" doc:"Whether the best levels are published after every change of a book."`
	// StreamMailbox is how many deliveries may wait for one stream.
	StreamMailbox int `yaml:"stream_mailbox" doc:"How many deliveries may wait for one stream."`
	// BacklogBytes is the memory of the deliveries that may wait for all streams, and
	// as much again each of records that streams hold while they resume and of records
	// that fill up entries for the journal.
	BacklogBytes int64 `yaml:"backlog_bytes" unit:"bytes" doc:"Memory of the deliveries that may wait for all streams, and as much again each of what streams hold while they resume and of what fills up entries for the journal."`
	// MailboxWait is how long a socket waits for room when a stream's mailbox is
	// full, before the frame is lost and the gap recorded. 0 does not wait.
	MailboxWait time.Duration `yaml:"mailbox_wait" doc:"How long a socket waits for room when a stream's mailbox is full, before the frame is lost and the gap recorded; 0 does not wait."`
	// HoldRecords is how many records a stream holds while it resumes.
	HoldRecords int `yaml:"hold_records" doc:"How many records a stream holds while it resumes."`
	// ResumeTimeout bounds the wait for storage at a stream's start.
	ResumeTimeout time.Duration `yaml:"resume_timeout" doc:"How long a stream waits for storage at its start."`
	// TakeoverTimeout bounds it where another node had the stream and is gone: the stream
	// goes on without knowing what is stored, and asks again.
	TakeoverTimeout time.Duration `yaml:"takeover_timeout" doc:"How long a stream of a node that is gone waits for storage before it goes on, and asks again."`
	// RecentTrades and RecentGaps are kept in memory for each stream.
	RecentTrades int `yaml:"recent_trades" doc:"Trades that are kept in memory for each stream."`
	RecentGaps   int `yaml:"recent_gaps" doc:"Gaps that are kept in memory for each stream."`
	// RetryFirst and RetryLast bound the wait before a failed call is tried again.
	RetryFirst time.Duration `yaml:"retry_first" doc:"Wait before the first retry of a failed call to the exchange."`
	RetryLast  time.Duration `yaml:"retry_last" doc:"Longest wait before a retry of a failed call to the exchange."`
	// BackfillTrades is how many missed trades are fetched for one gap, the newest;
	// older ones are marked.
	BackfillTrades int `yaml:"backfill_trades" doc:"How many missed trades are fetched for one gap, the newest; older ones are marked."`
	// BackfillPatience is how long a backfill is tried before the gap is marked.
	BackfillPatience time.Duration `yaml:"backfill_patience" doc:"How long a backfill is tried before the gap is marked."`
	// BackfillShare is how much of an exchange's REST budget of a window may be used
	// before a backfill that was asked for waits for the next one; above 0, up to 1.
	BackfillShare float64 `yaml:"backfill_share" doc:"How much of the REST budget may be used before a backfill that was asked for waits; the rest is for what is live. Above 0, up to 1."`
	// InstrumentsEvery is how often the instrument table is fetched again.
	InstrumentsEvery time.Duration `yaml:"instruments_every" doc:"Time between two fetches of the instrument table."`
	// ShutdownTimeout bounds the drain of a stream.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" doc:"How long a stopping stream may take to empty its mailbox."`
	// MetricStreams is how many streams have metrics of their own; the others are
	// summed up as "other".
	MetricStreams int `yaml:"metric_streams" doc:"How many streams have metrics of their own; the others are summed up as other."`
	// Restart answers the failures of one exchange's market.
	Restart supervise.Strategy `yaml:"restart" doc:"How failures of one exchange's market are answered."`
}

// DefaultConfig suits some hundred streams on one node.
func DefaultConfig() Config {
	return Config{
		BookDepth: 20, BookInterval: time.Second,
		StreamMailbox: 2048, BacklogBytes: 64 << 20, MailboxWait: 250 * time.Millisecond, HoldRecords: 16_384, ResumeTimeout: 30 * time.Second, TakeoverTimeout: 1500 * time.Millisecond,
		RecentTrades: 128, RecentGaps: 64,
		RetryFirst: 500 * time.Millisecond, RetryLast: 30 * time.Second,
		BackfillTrades: 200_000, BackfillPatience: 30 * time.Minute, BackfillShare: .5, InstrumentsEvery: time.Hour,
		ShutdownTimeout: 10 * time.Second, MetricStreams: 500,
		Restart: supervise.DefaultStrategy(),
	}
}

// Validate reports every value out of range.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		key      string
		have     int
		min, max int
	}{
		{"book_depth", c.BookDepth, 0, 5000},
		{"stream_mailbox", c.StreamMailbox, 16, 1 << 20},
		{"hold_records", c.HoldRecords, 1, 1 << 24},
		{"recent_trades", c.RecentTrades, 1, 1 << 20},
		{"recent_gaps", c.RecentGaps, 1, 1 << 20},
		{"backfill_trades", c.BackfillTrades, 0, 1 << 30},
		{"metric_streams", c.MetricStreams, 0, 100_000},
	} {
		if f.have < f.min || f.have > f.max {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", f.key, f.have, f.min, f.max))
		}
	}
	for _, f := range []struct {
		key  string
		have time.Duration
	}{
		{"resume_timeout", c.ResumeTimeout}, {"takeover_timeout", c.TakeoverTimeout}, {"retry_first", c.RetryFirst},
		{"backfill_patience", c.BackfillPatience}, {"instruments_every", c.InstrumentsEvery}, {"shutdown_timeout", c.ShutdownTimeout},
	} {
		if f.have <= 0 {
			errs = append(errs, fmt.Errorf("%s: %v is not above zero", f.key, f.have))
		}
	}
	if !(c.BackfillShare > 0 && c.BackfillShare <= 1) {
		errs = append(errs, fmt.Errorf("backfill_share: %v is not above 0 and up to 1", c.BackfillShare))
	}
	if c.BacklogBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("backlog_bytes: %d is below 1 MiB", c.BacklogBytes))
	}
	if c.MailboxWait < 0 || c.MailboxWait > 5*time.Second {
		errs = append(errs, fmt.Errorf("mailbox_wait: %v is not between 0s and 5s", c.MailboxWait))
	}
	if c.BookInterval < 0 {
		errs = append(errs, fmt.Errorf("book_interval: %v is below zero", c.BookInterval))
	}
	if c.RetryLast < c.RetryFirst {
		errs = append(errs, errors.New("retry_last: below retry_first"))
	}
	if err := c.Restart.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("restart: %w", err))
	}
	return errors.Join(errs...)
}
