package cold

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// Diagnosis is what is found of a store that nobody writes to: what its manifest says,
// as far as it can be read, held against the files.
type Diagnosis struct {
	// Place is where the store is.
	Place string `json:"place"`
	// Records are those that were read, from the newest whole checkpoint on.
	Records int `json:"records"`
	// Broken are records and checkpoints that cannot be read, or are missing. Without
	// any of those that count the manifest is whole.
	Broken []Damaged `json:"broken"`
	// Whole says that the store opens as it is.
	Whole bool `json:"whole"`
	// Listed files have Rows rows of Bytes, those of Found included.
	Listed int   `json:"files"`
	Rows   int64 `json:"rows"`
	Bytes  int64 `json:"bytes"`
	// Found are files that no record lists, or says to have left, and that are what
	// their names and footers say: a record that is lost has listed them, or an archive
	// was interrupted before it did. Their rows have the keys that they always had.
	Found []Part `json:"found"`
	// Unproven are files that no record lists and that are not proved whole: they are
	// left where they are.
	Unproven []Damaged `json:"unproven"`
	// Unlisted files are in no record; of a whole manifest they are what an interrupted
	// archive has left, and are swept.
	Unlisted int `json:"unlisted"`
	// Lacking are listed files that are missing, or not what was written.
	Lacking []Damaged `json:"lacking"`
	// Archived is up to where the store has each table, as far as that is proved. What
	// lies behind is archived again, and has the same keys.
	Archived []Archived `json:"archived"`

	bucket Bucket
	state  state
	next   uint64 // the first number that no record and no checkpoint has
	now    func() time.Time
}

// DiagnosisOptions say how to look.
type DiagnosisOptions struct {
	// Checksums has every listed file read as a whole; else their sizes are compared.
	Checksums bool
	// Now is the clock; time.Now.
	Now func() time.Time
	// Told is told how many files of how many were looked at; nil is not.
	Told func(done, all int)
}

// errVersion: a program that is newer has written it.
var errVersion = errors.New("a version of the manifest that this program does not know")

// Diagnose looks at the store in a bucket, and changes nothing. Errors: the bucket's,
// and one for a manifest of a later version.
func Diagnose(ctx context.Context, b Bucket, o DiagnosisOptions) (*Diagnosis, error) {
	return diagnoseFrom(ctx, b, o, proofs{})
}

func newDiagnosis(b Bucket, now func() time.Time) *Diagnosis {
	if now == nil {
		now = time.Now
	}
	return &Diagnosis{
		Place: b.String(), Broken: []Damaged{}, Found: []Part{}, Unproven: []Damaged{}, Lacking: []Damaged{}, Archived: []Archived{},
		bucket: b, state: newState(), now: now,
	}
}

// diagnoseFrom does not read again what is proved; it adds to that.
func diagnoseFrom(ctx context.Context, b Bucket, o DiagnosisOptions, proved proofs) (*Diagnosis, error) {
	d := newDiagnosis(b, o.Now)
	mentioned, err := d.readManifest(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.readFiles(ctx, mentioned, &o, proved); err != nil {
		return nil, err
	}
	for _, p := range d.state.parts {
		d.Listed, d.Rows, d.Bytes = d.Listed+1, d.Rows+p.Rows, d.Bytes+p.Bytes
	}
	for _, a := range d.state.archived {
		d.Archived = append(d.Archived, a)
	}
	sorted := &Record{Archived: d.Archived, Add: d.Found}
	sorted.sort()
	return d, nil
}

// numbers are the numbers of a prefix's objects, ascending.
func (d *Diagnosis) numbers(ctx context.Context, prefix string) (list []uint64, err error) {
	found, err := d.bucket.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	for _, o := range found {
		n, ok := numberOf(o.Name)
		if !ok {
			d.Broken = append(d.Broken, Damaged{File: o.Name, Reason: "its name is not a number"})
			continue
		}
		list = append(list, n)
		d.next = max(d.next, n+1)
	}
	slices.Sort(list)
	return list, nil
}

// readManifest adds up what can be read of it, from the newest whole checkpoint on, and
// returns the files that it says anything about.
func (d *Diagnosis) readManifest(ctx context.Context) (mentioned map[string]bool, err error) {
	d.next = 1
	checkpoints, err := d.numbers(ctx, checkpointPrefix)
	if err != nil {
		return nil, err
	}
	records, err := d.numbers(ctx, recordPrefix)
	if err != nil {
		return nil, err
	}
	m := &manifest{bucket: d.bucket}
	mentioned = map[string]bool{}
	for _, n := range slices.Backward(checkpoints) {
		r, err := d.read(ctx, m, checkpointName(n))
		if err != nil {
			return nil, err
		}
		if r != nil {
			d.take(r, mentioned)
			break
		}
	}
	d.Whole = true
	have := map[uint64]bool{}
	for _, n := range records {
		have[n] = true
	}
	for n := d.state.n + 1; n < d.next; n++ {
		var r *Record
		if have[n] {
			if r, err = d.read(ctx, m, recordName(n)); err != nil {
				return nil, err
			}
		} else { // something follows it
			d.Broken = append(d.Broken, Damaged{File: recordName(n), Reason: "it is missing"})
		}
		if r == nil {
			d.Whole = false
			continue
		}
		d.Records++
		if r.Anew { // what was before it does not count
			d.Whole, d.Broken, d.state = true, []Damaged{}, newState()
			clear(mentioned)
		} else if d.Whole && d.state.fits(r) != nil {
			d.Whole = false
			d.Broken = append(d.Broken, Damaged{File: recordName(n), Reason: "it does not fit those before it"})
		}
		d.take(r, mentioned)
	}
	return mentioned, nil
}

// read reads a record; nil when it is damaged.
func (d *Diagnosis) read(ctx context.Context, m *manifest, name string) (*Record, error) {
	r, err := m.read(ctx, name)
	var damage *persistence.CorruptError
	switch {
	case errors.Is(err, errVersion):
		return nil, fmt.Errorf("%w; use a newer program", err)
	case errors.As(err, &damage):
		d.Broken = append(d.Broken, Damaged{File: name, Reason: damage.Reason})
		return nil, nil
	case err != nil:
		return nil, err
	}
	return r, nil
}

// take adds a record up as far as it goes without those that are lost: a later one may
// be about files of which they told.
func (d *Diagnosis) take(r *Record, mentioned map[string]bool) {
	s := &d.state
	leave := func(name string, at time.Time) {
		delete(s.parts, name)
		delete(s.damaged, name)
		s.removed[name] = at
		mentioned[name] = true
	}
	for _, name := range slices.Concat(r.Remove, r.Swept) {
		leave(name, r.Time)
	}
	for _, f := range r.Removed {
		leave(f.File, f.At)
	}
	for _, name := range r.Deleted {
		leave(name, r.Time)
		delete(s.removed, name)
		delete(s.doubted, name)
		delete(mentioned, name) // one of that name that is there has been written since
	}
	for _, x := range r.Doubted {
		s.doubted[x.File] = x
	}
	for _, p := range r.Add {
		s.parts[p.File] = p
		s.begin(p.JournalID, p.Created)
		delete(s.removed, p.File)
		delete(s.doubted, p.File)
		mentioned[p.File] = true
	}
	for _, j := range r.Journals {
		s.begin(j.ID, j.Began)
	}
	for _, x := range r.Damaged {
		if _, ok := s.parts[x.File]; ok {
			s.damaged[x.File] = x
		}
	}
	for _, name := range r.Mended {
		delete(s.damaged, name)
	}
	for _, a := range r.Archived {
		at := tableShard{a.Table, a.Shard, a.JournalID}
		if a.Seq >= s.archived[at].Seq {
			s.archived[at] = a
		}
	}
	s.n = r.N
}

// find lists a file that no record lists.
func (d *Diagnosis) find(p Part) {
	d.state.parts[p.File] = p
	d.state.begin(p.JournalID, p.Created)
	delete(d.state.removed, p.File)
	delete(d.state.doubted, p.File)
	d.Found = append(d.Found, p)
}

// rewritten reports whether a file that a record says to have left was written after
// that: records that are lost may have said that it was deleted, and listed again.
func (d *Diagnosis) rewritten(x Object) bool {
	at, left := d.state.removed[x.Name]
	return left && x.Modified.After(at)
}

// joined reports whether a file that is missing was joined to another one, which is
// there: the record that said so is lost.
func (d *Diagnosis) joined(p *Part, there map[string]bool) bool {
	for _, by := range d.state.parts {
		if there[by.File] && by.Table == p.Table && by.Exchange == p.Exchange && by.Market == p.Market && by.Symbol == p.Symbol && by.Date == p.Date &&
			by.JournalID == p.JournalID && by.Shard == p.Shard && by.FirstSeq <= p.FirstSeq && p.LastSeq <= by.LastSeq &&
			by.MinTime <= p.MinTime && p.MaxTime <= by.MaxTime && by.Rows >= p.Rows && by.Youngest > 0 {
			return true
		}
	}
	return false
}

// readFiles holds the files against what is listed.
func (d *Diagnosis) readFiles(ctx context.Context, mentioned map[string]bool, o *DiagnosisOptions, proved proofs) error {
	var objects []Object
	for _, kind := range market.Kinds() {
		if kind.Table() == "" {
			continue
		}
		found, err := d.bucket.List(ctx, kind.Table()+"/")
		if err != nil {
			return err
		}
		for _, x := range found {
			if isPart(x.Name) {
				objects = append(objects, x)
			}
		}
	}
	if d.next == 1 && len(objects) > 0 {
		d.Whole = false
		d.Broken = append(d.Broken, Damaged{File: recordPrefix, Reason: "there is no manifest, and there are files"})
	}
	there := map[string]bool{}
	e := newExaminer(d.bucket)
	for i, x := range objects {
		if err := ctx.Err(); err != nil {
			return err
		}
		if o.Told != nil {
			o.Told(i, len(objects))
		}
		there[x.Name] = true
		p, listed := d.state.parts[x.Name]
		told := mentioned[x.Name] && !d.rewritten(x)
		if !listed && !told {
			d.Unlisted++
		}
		var reason string
		var err error
		switch {
		case listed && p.Bytes != x.Size:
			reason = fmt.Sprintf("it has %d bytes, the manifest says %d", x.Size, p.Bytes)
		case listed && o.Checksums:
			reason, err = e.compare(ctx, &p)
		case !listed && !told && !d.Whole:
			if p, reason, err = proved.of(ctx, e, x); err == nil && reason == "" {
				d.find(p)
			}
		}
		switch {
		case err != nil:
			return err
		case reason != "" && listed:
			d.Lacking = append(d.Lacking, Damaged{File: x.Name, Reason: reason})
		case reason != "":
			d.Unproven = append(d.Unproven, Damaged{File: x.Name, Reason: reason})
		}
	}
	for name, p := range d.state.parts {
		switch {
		case there[name]:
		case !d.Whole && d.joined(&p, there):
			delete(d.state.parts, name)
			delete(d.state.damaged, name)
		default:
			d.Lacking = append(d.Lacking, Damaged{File: name, Reason: fileMissing})
		}
	}
	slices.SortFunc(d.Lacking, func(a, b Damaged) int { return strings.Compare(a.File, b.File) })
	return nil
}
