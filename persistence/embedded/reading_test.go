package embedded

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/persistencetest"
)

// files lists a directory with sizes and times.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		list = append(list, path+" "+info.Mode().String()+" "+info.ModTime().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// lines reads all records that a query selects.
func lines(t *testing.T, r persistence.Reader, q persistence.Query) (all []string, err error) {
	t.Helper()
	rows, err := r.Query(t.Context(), q)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		var b market.Batch
		_, err := rows.Next(t.Context(), &b)
		for r := range b.All() {
			all = append(all, persistencetest.Text(r))
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// TestReading: a closed store is read as it is, several times at once, never while an
// engine has it, and nothing in its directory changes: not what a crash has left
// either.
func TestReading(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir, Surroundings{}); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("an empty directory: %v", err)
	}
	e, err := Open(dir, DefaultConfig(), Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	var b market.Batch
	g := persistencetest.NewGenerator(3)
	model := persistencetest.NewModel()
	for range 500 {
		g.Add(&b, market.KindTrade).Head().Epoch = 1
	}
	model.Apply(&b)
	apply(t, e, 1, &b)
	publish(t, e)
	if _, err := Read(dir, Surroundings{}); !errors.Is(err, persistence.ErrLocked) {
		t.Fatalf("while an engine has it: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "trades", "0-9-9-9.parquet.tmp"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, "MANIFEST")
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, append(text, "MPM\x01torn"...), 0o644); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	first, err := Read(dir, Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Read(dir, Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Reading{first, second} {
		scan := r.Scan()
		q := persistence.Query{Kind: market.KindTrade}
		got, err := lines(t, &scan, q)
		if want := model.Select(q); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d records, want %d: %v", len(got), len(want), err)
		}
	}
	if _, err := Open(dir, DefaultConfig(), Surroundings{}); !errors.Is(err, persistence.ErrLocked) {
		t.Errorf("an engine beside readings: %v", err)
	}
	part, err := filepath.Glob(filepath.Join(dir, "trades", "*.parquet"))
	if err != nil || len(part) != 1 {
		t.Fatalf("%v, %v", part, err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}
	if after := files(t, dir); !slices.Equal(after, before) {
		t.Errorf("changed:\n%v\n%v", before, after)
	}

	// A damaged part fails the query, and stays where it is.
	if err := os.Truncate(part[0], 100); err != nil {
		t.Fatal(err)
	}
	third, err := Read(dir, Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	scan := third.Scan()
	if _, err := lines(t, &scan, persistence.Query{Kind: market.KindTrade}); !errors.Is(err, persistence.ErrCorrupt) {
		t.Errorf("a damaged part: %v", err)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(part[0]); err != nil {
		t.Error(err)
	}
}
