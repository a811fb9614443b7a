package performance

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/marketprism/marketprism/tests/harness"
)

// BenchmarkFrames is the processor time of a recorded frame from bytes to proven
// records, the book kept, on one core. In turn with it the standard library only
// looks whether the same frames are JSON (json.Valid): a measure of the machine at
// that moment. best is of all runs, the others are medians; the ratio is of the
// bests, which neighbours disturb least.
func BenchmarkFrames(b *testing.B) {
	for _, c := range []struct{ name, capture string }{
		{"spot", "binance-spot/btcusdt_20240808"}, {"usdm", "binance-usdm/btcusdt_20240808"},
	} {
		b.Run(c.name, func(b *testing.B) {
			path := harness.Capture(b, c.capture)
			frames := framesOf(b, path)
			var ours, valid []float64
			for b.Loop() {
				for range 5 {
					ours = append(ours, benched(b, path))
					valid = append(valid, validated(b, frames))
				}
			}
			slices.Sort(ours)
			slices.Sort(valid)
			b.ReportMetric(0, "ns/op") // reading the capture, mostly
			b.ReportMetric(ours[0], "best-ns/frame")
			b.ReportMetric(ours[len(ours)/2], "ns/frame")
			b.ReportMetric(valid[0], "json.Valid-best-ns/frame")
			b.ReportMetric(valid[len(valid)/2], "json.Valid-ns/frame")
			b.ReportMetric(ours[0]/valid[0], "best/json.Valid")
		})
	}
}

// framesOf are the frames of a capture as they came from the socket.
func framesOf(b *testing.B, path string) (frames [][]byte) {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct{ Dir, Body string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			b.Fatal(err)
		}
		if line.Dir == "in" {
			frames = append(frames, []byte(line.Body))
		}
	}
	if err := lines.Err(); err != nil {
		b.Fatal(err)
	}
	return frames
}

// benched is the program's own figure, in ns a frame.
func benched(b *testing.B, path string) float64 {
	b.Helper()
	var row struct {
		Frames int64 `json:"frames"`
		CPU    int64 `json:"cpu_ns"`
	}
	out := harness.Must(b, time.Minute, "bench", path, "--seconds", "0.4", "-o", "json").Out
	if err := json.Unmarshal([]byte(out), &row); err != nil || row.Frames == 0 {
		b.Fatalf("%v in %s", err, out)
	}
	return float64(row.CPU) / float64(row.Frames)
}

func validated(b *testing.B, frames [][]byte) float64 {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n, begin, from := 0, time.Now(), threadTime(b)
	for time.Since(begin) < 400*time.Millisecond {
		for _, f := range frames {
			if !json.Valid(f) {
				b.Fatalf("no JSON: %s", f)
			}
		}
		n += len(frames)
	}
	return float64(threadTime(b)-from) / float64(n)
}

// threadTime is the processor time of the calling thread, in ns.
func threadTime(b *testing.B) int64 {
	b.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		b.Fatal(err)
	}
	return ts.Nano()
}
