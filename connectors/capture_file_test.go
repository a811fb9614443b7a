package connectors_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marketprism/marketprism/connectors"
)

func readFile(t *testing.T, path string) ([]connectors.CaptureRecord, error) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return readCapture(t, b)
}

func record(n int64) *connectors.CaptureRecord {
	return &connectors.CaptureRecord{Time: n, Conn: 1, Dir: connectors.CaptureIn, Body: []byte(`{"n":1}`)}
}

func TestCaptureFileSurvivesAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.ndjson.gz")
	synctest.Test(t, func(t *testing.T) {
		w, err := connectors.CreateCapture(path, connectors.CaptureFileOptions{FlushEvery: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for n := range int64(3) {
			for i := range int64(10) {
				if err := w.Write(record(n*10 + i + 1)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(1500 * time.Millisecond) //nolint:forbidigo // the bubble's clock, not time
			synctest.Wait()
			// What a kill at this instant would leave.
			got, err := readFile(t, path)
			if err != nil || len(got) != int(n+1)*10 {
				t.Errorf("after %d flushes: %d records, %v", n+1, len(got), err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
		if err := w.Write(record(1)); err == nil {
			t.Error("a closed capture takes a record")
		}
	})
	if _, err := connectors.CreateCapture(path, connectors.CaptureFileOptions{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("an existing file: %v", err)
	}
}

func TestCaptureFileRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.ndjson.gz")
	synctest.Test(t, func(t *testing.T) {
		w, err := connectors.CreateCapture(path, connectors.CaptureFileOptions{RotateEvery: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		for n := range int64(5) {
			if err := w.Write(record(n + 1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Second) //nolint:forbidigo // the bubble's clock, not time
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := w.Files(); len(got) != 3 || filepath.Base(got[1]) != "x.1.ndjson.gz" {
			t.Errorf("files %v", got)
		}
		next := int64(1)
		for _, f := range w.Files() {
			records, err := readFile(t, f)
			if err != nil {
				t.Errorf("%s: %v", f, err)
			}
			for _, r := range records {
				if r.Time != next {
					t.Errorf("%s: record %d, want %d", f, r.Time, next)
				}
				next++
			}
		}
		if next != 6 {
			t.Errorf("%d records in all, want 5", next-1)
		}
	})
}

func TestCaptureFileRotatesBySize(t *testing.T) {
	w, err := connectors.CreateCapture(filepath.Join(t.TempDir(), "x.gz"), connectors.CaptureFileOptions{
		RotateBytes: 1, FlushEvery: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(w.Files()) < 3 && time.Now().Before(deadline) {
		if err := w.Write(record(1)); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := w.Files(); len(got) < 3 || filepath.Base(got[2]) != "x.gz.2" {
		t.Errorf("files %v", got)
	}
}

func TestCaptureFileEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.ndjson.gz")
	w, err := connectors.CreateCapture(path, connectors.CaptureFileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := readFile(t, path); err != nil || len(got) != 0 {
		t.Errorf("%d records, %v", len(got), err)
	}
}

func FuzzCaptureReader(f *testing.F) {
	f.Add([]byte("{\"ts\":1,\"conn\":1,\"dir\":\"in\",\"body\":\"x\"}\n{\"ts\":2,\"conn\":1,\"dir\":\"in\",\"b64\":\"AA==\"}"))
	f.Add([]byte("\n\n{}\n"))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, file []byte) {
		records, err := readCapture(t, file)
		var at *connectors.CaptureError
		if err != nil && !errors.As(err, &at) {
			t.Fatalf("%T %v", err, err)
		}
		for i, r := range records {
			if r.Dir == "" || r.Line <= i {
				t.Fatalf("record %d: %+v", i, r)
			}
		}
	})
}
