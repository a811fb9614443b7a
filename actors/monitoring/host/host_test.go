package host_test

import (
	"os"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/host"
)

// TestRead holds a sample against what is known of any machine, and of this process.
func TestRead(t *testing.T) {
	clocks := []host.ExchangeClock{{Exchange: "binance", Market: "spot", OffsetSeconds: 0.25}}
	r := host.NewReader(host.Options{DataDir: t.TempDir(), Clocks: func() []host.ExchangeClock { return clocks }})
	first := r.Read(t.Context())
	busyUntil := time.Now().Add(50 * time.Millisecond)
	for x := 1; time.Now().Before(busyUntil); x++ { // time that this process uses
		_ = x * x
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := r.Read(t.Context())

	if s.CPU.Cores < 1 || s.CPU.UsagePercent < 0 || s.CPU.UsagePercent > 100 {
		t.Errorf("cpu %+v", s.CPU)
	}
	if s.Memory.TotalBytes == 0 || s.Memory.AvailableBytes == 0 || s.Memory.AvailableBytes > s.Memory.TotalBytes || s.Memory.UsagePercent <= 0 {
		t.Errorf("memory %+v", s.Memory)
	}
	d, ok := s.DataDisk()
	if !ok || d.TotalBytes == 0 || d.FreeBytes > d.TotalBytes || d.UsagePercent < 0 || d.UsagePercent > 100 {
		t.Errorf("the disk of the data: %+v %v of %+v", d, ok, s.Disks)
	}
	p := s.Process
	if p.PID != os.Getpid() || p.ResidentBytes < 1<<20 || p.OpenFiles <= first.Process.OpenFiles || p.Goroutines < 2 || p.CPUPercent <= 0 {
		t.Errorf("process %+v, before it opened a file %+v", p, first.Process)
	}
	if len(s.Clock.Exchanges) != 1 || s.Clock.Exchanges[0] != clocks[0] {
		t.Errorf("clocks %+v", s.Clock)
	}
	if !s.Time.After(first.Time) || s.Hostname == "" {
		t.Errorf("sample of %q at %v", s.Hostname, s.Time)
	}
	for _, missing := range s.Missing {
		t.Logf("this machine does not tell: %s", missing)
	}
}
