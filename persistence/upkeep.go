package persistence

import "context"

// Upkeeper looks after what is archived.
type Upkeeper interface {
	// Upkeep joins small files of one stream and day, removes files that nothing lists,
	// and compares the checksums of some. It ends with ctx and goes on from there the
	// next time; told, which may be nil, is told what is done so far. Errors: [ErrAway],
	// those of reading and writing.
	Upkeep(ctx context.Context, told func(UpkeepReport)) (UpkeepReport, error)
}

// UpkeepReport says what an upkeep did.
type UpkeepReport struct {
	// Joined files became Made ones, with Rows rows of Bytes; Dropped rows had the key
	// of a later one.
	Joined  int   `json:"joined"`
	Made    int   `json:"made"`
	Rows    int64 `json:"rows"`
	Bytes   int64 `json:"bytes"`
	Dropped int64 `json:"dropped"`
	// Swept files were in no record, and are on their way out; Leftovers of interrupted
	// writes are gone.
	Swept     int `json:"swept"`
	Leftovers int `json:"leftovers"`
	// Verified files have the checksum of when they were written, or are set aside.
	Verified int `json:"verified"`
}
