// Package performance measures the running program from outside: benchmarks, so
// that they run by `make bench PKG=./tests/performance COUNT=1` and judge nothing.
package performance

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) {
	if floor := os.Getenv(floorEnv); floor != "" {
		if err := floors[floor](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(harness.Main(m))
}

func freePort(b testing.TB) int {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		b.Fatalf("address %v", l.Addr())
	}
	return a.Port
}

// BenchmarkStart is the time from starting the process until every service says
// that it is ready, and the memory that it then takes.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		n := harness.Start(b, b.TempDir(), nil)
		b.StopTimer()
		b.ReportMetric(float64(resident(b, n.PID()))/1e6, "MB")
		n.Stop()
		b.StartTimer()
	}
}

// resident is the memory of a process, in bytes.
func resident(b testing.TB, pid int) int64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skipf("the memory of a process cannot be told here: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb * 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

// cpu is what a process has taken of the processors. Linux counts it in
// hundredths of a second.
func cpu(b testing.TB, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skipf("the CPU time of a process cannot be told here: %v", err)
	}
	// proc(5): the name stands in parentheses; utime and stime are fields 14 and 15.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	ticks := 0
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
