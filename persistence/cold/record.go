package cold

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// Record is one record of the manifest: a change, all of it or nothing; or a
// checkpoint, which is everything up to its number.
type Record struct {
	Version int `json:"version"`
	// N is the record's number; the first is 1.
	N uint64 `json:"n"`
	// Writer and Attempt tell whose record it is, and which, so that an outcome
	// that was not learned can be looked up.
	Writer  string    `json:"writer"`
	Attempt uint64    `json:"attempt"`
	Time    time.Time `json:"time"`
	Add     []Part    `json:"add,omitempty"`
	// Remove names files that are read no more.
	Remove []string `json:"remove,omitempty"`
	// Archived are positions that the store includes from this record on.
	Archived []Archived `json:"archived,omitempty"`
	// Deleted names files that were removed before and are gone from the bucket.
	Deleted []string `json:"deleted,omitempty"`
	// Operation is the archive that the change belongs to, where somebody wants to know
	// what it has listed; "" else.
	Operation string `json:"operation,omitempty"`
	// Swept names objects that no record lists; they are deleted as removed files are.
	Swept []string `json:"swept,omitempty"`
	// Damaged are listed files that are not read any more; Mended names those that
	// are whole again.
	Damaged []Damaged `json:"damaged,omitempty"`
	Mended  []string  `json:"mended,omitempty"`
	// Anew says that the record is all that counts of itself and those before it, some
	// of which are damaged or lost: what they said was made again from the rest of them
	// and from the files.
	Anew bool `json:"anew,omitempty"`
	// Removed are the files that are still to be deleted; in a record that sums up only,
	// as are the next two.
	Removed []Removed `json:"removed,omitempty"`
	// Journals are those that rows have come by.
	Journals []Journal `json:"journals,omitempty"`
	// Doubted are files that a lost record may have listed, and that do not prove what
	// they are. Nobody reads them, and nobody deletes them.
	Doubted []Damaged `json:"doubted,omitempty"`
}

// Journal says when the first row that came by a journal had arrived, Unix ns: of two
// journals the one that began later is the later one.
type Journal struct {
	ID    string `json:"id"`
	Began int64  `json:"began_ns"`
}

// Removed is a file that has left the manifest and may still be read.
type Removed struct {
	File string    `json:"file"`
	At   time.Time `json:"at"`
}

// Damaged is a listed file that is not read, because its bytes are not those that were
// written, or are gone. Nobody deletes it.
type Damaged struct {
	File   string    `json:"file"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Part is one file as the manifest lists it: rows of one stream of one table and
// one day.
type Part struct {
	Table    string `json:"table"`
	File     string `json:"file"`
	Exchange string `json:"exchange"`
	Market   string `json:"market"`
	Symbol   string `json:"symbol"`
	// Date is the day of the rows' ts, UTC: "2026-01-31".
	Date      string `json:"date"`
	Rows      int64  `json:"rows"`
	Collected int64  `json:"collected"`
	Bytes     int64  `json:"bytes"`
	// Checksum is the xxHash64 of the file, 16 hexadecimal digits.
	Checksum string `json:"checksum"`
	MinTime  int64  `json:"min_time_ns"`
	MaxTime  int64  `json:"max_time_ns"`
	// The journal range that the rows come from, both ends inclusive.
	JournalID string `json:"journal_id"`
	Shard     int    `json:"shard"`
	FirstSeq  uint64 `json:"first_seq"`
	LastSeq   uint64 `json:"last_seq"`
	// Created is when the oldest of the rows arrived, Unix ns.
	Created int64 `json:"created_ns"`
	// Youngest is Created of the youngest of the files that were joined to this one; 0
	// in one that was not.
	Youngest int64 `json:"youngest_ns,omitempty"`
}

// arrived is the instant, Unix ns, at which every row had arrived.
func (p *Part) arrived() int64 { return max(p.Created, p.Youngest) + arrivalSpan }

// Archived says that the store has every row of a table and shard up to a
// position of a journal.
type Archived = persistence.ArchivedTo

// Version 2 can sweep, mark and join, version 3 begin anew. A program that does not know
// it must not write beside one that does.
const recordVersion = 3

// A record is stored as a line with the checksum of what follows, and JSON.
const recordMark = "marketprism cold manifest crc32c="

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (r *Record) encode() ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encoding record %d: %w", r.N, err)
	}
	return append(fmt.Appendf(nil, "%s%08x\n", recordMark, crc32.Checksum(body, castagnoli)), body...), nil
}

// decodeRecord reads a record; the error says how it is damaged.
func decodeRecord(data []byte) (*Record, error) {
	head, body, ok := bytes.Cut(data, []byte("\n"))
	text, marked := bytes.CutPrefix(head, []byte(recordMark))
	if !ok || !marked {
		return nil, fmt.Errorf("no record of a manifest")
	}
	sum, err := strconv.ParseUint(string(text), 16, 32)
	if err != nil || sum != uint64(crc32.Checksum(body, castagnoli)) {
		return nil, fmt.Errorf("its checksum is wrong")
	}
	r := &Record{}
	if err := json.Unmarshal(body, r); err != nil {
		return nil, err
	}
	if r.Version < 1 || r.Version > recordVersion {
		return nil, fmt.Errorf("%w: %d", errVersion, r.Version)
	}
	for i := range r.Add {
		if _, err := r.Add[i].meta(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// meta is the part as a reader of files knows it.
func (p *Part) meta() (*part.Meta, error) {
	kind, ok := market.ParseKind(p.Table)
	m, known := market.ParseMarket(p.Market)
	sum, err := strconv.ParseUint(p.Checksum, 16, 64)
	switch {
	case !ok || kind.Table() != p.Table:
		return nil, fmt.Errorf("file %s: no table %q", p.File, p.Table)
	case !known:
		return nil, fmt.Errorf("file %s: no market %q", p.File, p.Market)
	case err != nil:
		return nil, fmt.Errorf("file %s: checksum %q", p.File, p.Checksum)
	}
	stream := market.StreamID{Exchange: p.Exchange, Market: m, Symbol: p.Symbol}
	return &part.Meta{
		Kind: kind, File: p.File, Rows: p.Rows, Bytes: p.Bytes, Checksum: sum, MinTime: p.MinTime, MaxTime: p.MaxTime,
		JournalID: p.JournalID, Shard: p.Shard, FirstSeq: p.FirstSeq, LastSeq: p.LastSeq, Created: p.Created,
		Ranges: []part.Range{{Stream: stream, Rows: p.Rows, MinTime: p.MinTime, MaxTime: p.MaxTime, Collected: p.Collected}},
	}, nil
}

// partOf describes a file that has been written.
func partOf(m part.Meta, date string) Part {
	r := m.Ranges[0]
	return Part{
		Table: m.Kind.Table(), File: m.File, Exchange: r.Stream.Exchange, Market: r.Stream.Market.String(), Symbol: r.Stream.Symbol,
		Date: date, Rows: m.Rows, Collected: r.Collected, Bytes: m.Bytes, Checksum: fmt.Sprintf("%016x", m.Checksum),
		MinTime: m.MinTime, MaxTime: m.MaxTime, JournalID: m.JournalID, Shard: m.Shard, FirstSeq: m.FirstSeq, LastSeq: m.LastSeq,
		Created: m.Created,
	}
}

// sort puts the lists in an order that does not depend on how they were made.
func (r *Record) sort() {
	slices.SortFunc(r.Add, func(a, b Part) int { return strings.Compare(a.File, b.File) })
	slices.SortFunc(r.Archived, func(a, b Archived) int {
		return cmp.Or(strings.Compare(a.Table, b.Table), a.Shard-b.Shard, strings.Compare(a.JournalID, b.JournalID))
	})
	slices.SortFunc(r.Damaged, func(a, b Damaged) int { return strings.Compare(a.File, b.File) })
	slices.SortFunc(r.Doubted, func(a, b Damaged) int { return strings.Compare(a.File, b.File) })
	slices.SortFunc(r.Journals, func(a, b Journal) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(r.Removed, func(a, b Removed) int { return strings.Compare(a.File, b.File) })
}
