package market

// Gap is one entry of the gap ledger: what a channel is known to have missed. A
// later record with the same key (from-time, channel, from_seq) replaces it, as
// when a hole is healed.
type Gap struct {
	Header
	// Channel is the kind of the channel that missed something: "trade".
	Channel string
	// FromSeq and ToSeq are the first and the last missing sequence number or
	// trade id, where the channel has one.
	FromSeq, ToSeq OptInt
	// FromTime and ToTime bound the hole by time, Unix ns, exclusive: the last
	// record before it and the first after it. ToTime is 0 while it is open.
	FromTime, ToTime int64
	// Cause is one of the Cause constants.
	Cause string
	// Outcome is one of the Outcome constants.
	Outcome string
	// HealedRecords is the number of records fetched for it.
	HealedRecords OptInt
}

// Causes of a gap.
const (
	CauseSequence    = "sequence"     // a sequence number was skipped
	CauseChecksum    = "checksum"     // the book's checksum did not match
	CauseCrossed     = "crossed"      // the book was crossed after a whole update
	CauseDisconnect  = "disconnect"   // no connection
	CauseSilence     = "silence"      // connected, and nothing came
	CauseRestart     = "restart"      // the process was not running
	CauseTakeover    = "takeover"     // ownership moved
	CausePanic       = "panic"        // the stream's actor crashed
	CauseNoCredit    = "no_credit"    // the journal did not keep up
	CauseJournalFull = "journal_full" // the journal refused
	CauseDiskFull    = "disk_full"    // the journal's disk is full
	CauseTooLarge    = "too_large"    // a record over the journal's limit
	CauseMalformed   = "malformed"    // a frame could not be decoded
	CauseGaveUp      = "gave_up"      // a batch's fate stayed unknown
	// CauseJournalForeign: the journal was another one than the store's, or an older
	// copy of it.
	CauseJournalForeign = "journal_foreign"
)

// Outcomes of a gap.
const (
	OutcomeOpen   = "open"   // being fetched
	OutcomeHealed = "healed" // every record of it is there
	OutcomeMarked = "marked" // what is missing stays missing
)

var gapRow = kindRow{name: "gap", table: "gaps", key: []string{"channel", "from_seq"}, rows: newRows[Gap, *Gap]}

var (
	fieldChannel       = field("channel")
	fieldFromSeq       = field("from_seq")
	fieldToSeq         = field("to_seq")
	fieldFromTime      = field("from_time_ns")
	fieldToTime        = field("to_time_ns")
	fieldCause         = field("cause")
	fieldOutcome       = field("outcome")
	fieldHealedRecords = field("healed_records")
)

// Kind implements [Record].
func (*Gap) Kind() Kind { return KindGap }

// Fields implements [Record].
func (g *Gap) Fields(v Visitor) {
	v.Word(fieldChannel, &g.Channel)
	v.Int(fieldFromSeq, &g.FromSeq)
	v.Int(fieldToSeq, &g.ToSeq)
	v.Time(fieldFromTime, &g.FromTime)
	v.Time(fieldToTime, &g.ToTime)
	v.Word(fieldCause, &g.Cause)
	v.Word(fieldOutcome, &g.Outcome)
	v.Int(fieldHealedRecords, &g.HealedRecords)
}

func (g *Gap) eventTime() int64 { return g.FromTime }
