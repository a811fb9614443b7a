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

// Repair makes the store open again, as it was diagnosed: an empty record takes the
// next number, and a checkpoint of that number says what there is. Records that are
// damaged stay where they are, and nobody reads them any more. Listed files that are
// missing stay listed, and are marked. Nobody may have the store open. Errors:
// [ErrWhole], [ErrExists] when somebody writes to the store, the bucket's.
func (d *Diagnosis) Repair(ctx context.Context) error {
	if d.Whole {
		return ErrWhole
	}
	now := d.now().UTC()
	for _, x := range d.Lacking {
		if _, known := d.state.damaged[x.File]; !known {
			x.At = now
			d.state.damaged[x.File] = x
		}
	}
	mark := &Record{Version: recordVersion, N: d.next, Writer: "repair", Time: now}
	data, err := mark.encode()
	if err != nil {
		return err
	}
	if err := d.bucket.Create(ctx, recordName(d.next), data); err != nil {
		return fmt.Errorf("beginning the repair with record %d: %w", d.next, err)
	}
	m := &manifest{bucket: d.bucket, writer: "repair", now: d.now, state: d.state}
	m.state.n = d.next
	if err := m.checkpoint(ctx); err != nil {
		return fmt.Errorf("summing the repair up: %w", err)
	}
	if _, err := openManifest(ctx, d.bucket, d.now); err != nil {
		return fmt.Errorf("the repair is made, and the manifest does not open: %w", err)
	}
	return nil
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
		return "the file is missing", nil
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
		return p, "the file is missing", nil
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
