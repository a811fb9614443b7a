package cold

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
)

// ErrWhole: there is nothing to repair.
var ErrWhole = errors.New("the manifest is whole")

// Repair makes the manifest whole, as it was diagnosed: a record takes the next number
// that says all there is, in place of those before it. Records that are damaged stay
// where they are, with a copy in quarantine, and nobody reads them any more. Listed
// files that are missing stay listed, and are marked; files that are not proved are
// named, and stay. Others may use the store meanwhile: they go on from that record.
// Errors: [ErrWhole], [ErrExists] when somebody was first, the bucket's.
func (d *Diagnosis) Repair(ctx context.Context) error {
	if d.Whole {
		return ErrWhole
	}
	if err := d.setAside(ctx); err != nil {
		return fmt.Errorf("setting the damaged records aside: %w", err)
	}
	now := d.now().UTC()
	note := func(in map[string]Damaged, all []Damaged) {
		for _, x := range all {
			if _, known := in[x.File]; !known {
				x.At = now
				in[x.File] = x
			}
		}
	}
	note(d.state.damaged, d.Lacking)
	note(d.state.doubted, d.Unproven)
	m := &manifest{bucket: d.bucket, writer: "repair", now: d.now, state: d.state}
	m.state.n = d.next
	r := m.state.sum()
	r.Anew, r.Writer, r.Time = true, m.writer, now
	data, err := r.encode()
	if err != nil {
		return err
	}
	if err := d.bucket.Create(ctx, recordName(d.next), data); err != nil {
		return fmt.Errorf("beginning anew with record %d: %w", d.next, err)
	}
	if err := m.checkpoint(ctx); err != nil { // so that nobody looks for that record
		return fmt.Errorf("summing the repair up: %w", err)
	}
	return nil
}

// proofs are what was found of files, so that they need not be read again.
type proofs map[string]proof

type proof struct {
	of     Object
	part   Part
	reason string
}

// of is as examiner.prove.
func (all proofs) of(ctx context.Context, e *examiner, x Object) (Part, string, error) {
	if have, ok := all[x.Name]; ok && have.of == x {
		return have.part, have.reason, nil
	}
	p, reason, err := e.prove(ctx, x)
	if err == nil {
		all[x.Name] = proof{x, p, reason}
	}
	return p, reason, err
}

// examiner finds out whether files are whole.
type examiner struct {
	bucket  Bucket
	names   *part.Names
	schemas [market.NumKinds]*part.Schema
}

func newExaminer(b Bucket) *examiner { return &examiner{bucket: b, names: part.NewNames()} }

// compare reads a listed file; reason says how it differs from what is listed, "" not
// at all.
func (e *examiner) compare(ctx context.Context, p *Part) (reason string, err error) {
	m, err := p.meta()
	if err != nil { // it was checked when the record was read
		return "", err
	}
	return e.whole(ctx, m)
}

// whole reads all of a file that m describes.
func (e *examiner) whole(ctx context.Context, m *part.Meta) (reason string, err error) {
	if e.schemas[m.Kind] == nil {
		if e.schemas[m.Kind], err = part.NewSchema(m.Kind); err != nil {
			return "", err
		}
	}
	content, size, err := e.bucket.Open(ctx, m.File)
	if errors.Is(err, ErrNotFound) {
		return fileMissing, nil
	}
	if err != nil {
		return "", err
	}
	from := &watched{Content: content, path: e.bucket.String() + "/" + m.File}
	f, err := part.OpenContent(from, from.path, size, m, e.schemas[m.Kind], e.names)
	if err == nil {
		err = errors.Join(f.Verify(), f.Close())
	}
	err = from.judge(err)
	var damage *persistence.CorruptError
	if errors.As(err, &damage) {
		return damage.Reason, nil
	}
	return "", err
}

// prove describes a file that nothing lists, by its own footer. It is what it says when
// its name, which was made of the content, does too; reason says how it is not.
func (e *examiner) prove(ctx context.Context, x Object) (p Part, reason string, err error) {
	content, size, err := e.bucket.Open(ctx, x.Name)
	if errors.Is(err, ErrNotFound) {
		return p, fileMissing, nil
	}
	if err != nil {
		return p, "", err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	from := &watched{Content: content, path: e.bucket.String() + "/" + x.Name}
	m, readErr := part.ReadMeta(from, size)
	if readErr != nil {
		if err := from.judge(readErr); errors.Is(err, persistence.ErrAway) {
			return p, "", err
		}
		return p, readErr.Error(), nil
	}
	sum := xxhash.New()
	if _, err := io.Copy(sum, io.NewSectionReader(from, 0, size)); err != nil {
		return p, "", away(err)
	}
	m.File, m.Bytes, m.Checksum = x.Name, size, sum.Sum64()
	if len(m.Ranges) != 1 || m.Rows == 0 {
		return p, fmt.Sprintf("it has rows of %d instruments, a file of this store those of one", len(m.Ranges)), nil
	}
	date := Day(m.MinTime)
	stem := path.Join(folder(m.Kind, m.Ranges[0].Stream, date), fmt.Sprintf("%s%d-%d-%016x", partPrefix, m.MinTime, m.MaxTime, m.Checksum))
	if !strings.HasPrefix(x.Name, stem) || Day(m.MaxTime) != date {
		return p, "its content is not that of its name, " + path.Base(stem), nil
	}
	if reason, err := e.whole(ctx, &m); err != nil || reason != "" {
		return p, reason, err
	}
	p = partOf(m, date)
	p.Youngest = x.Modified.UnixNano() // it may have been joined: no row arrived later
	return p, "", nil
}
