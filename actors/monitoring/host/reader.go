package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	machine "github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// Options of a [Reader].
type Options struct {
	// DataDir is the directory whose file system matters most; "" for none.
	DataDir string
	// Clocks says how far the clocks of exchanges are ahead of ours; nil when nobody
	// measures it.
	Clocks func() []ExchangeClock
}

// Reader reads samples. One goroutine uses it.
type Reader struct {
	options Options
	dataDir string
	info    *machine.InfoStat
	self    *process.Process

	at      time.Time
	times   cpu.TimesStat
	own     float64 // CPU seconds of this process
	network map[string]net.IOCountersStat
}

// NewReader makes a reader. The first sample has no rates.
func NewReader(o Options) *Reader {
	r := &Reader{options: o, network: map[string]net.IOCountersStat{}}
	if o.DataDir != "" {
		if dir, err := filepath.Abs(o.DataDir); err == nil {
			r.dataDir = dir
		}
	}
	return r
}

// Read reads everything. It takes some milliseconds.
func (r *Reader) Read(ctx context.Context) Sample {
	now := time.Now()
	since := now.Sub(r.at).Seconds()
	if r.at.IsZero() {
		since = 0
	}
	s := Sample{Time: now.UTC(), OS: runtime.GOOS, Disks: []Disk{}, Network: []Interface{}, Missing: []string{}}
	for _, part := range []struct {
		name string
		read func(context.Context, *Sample, float64) error
	}{
		{"machine", r.readMachine}, {"cpu", r.readCPU}, {"load", r.readLoad}, {"memory", r.readMemory},
		{"disks", r.readDisks}, {"network", r.readNetwork}, {"process", r.readProcess}, {"clock", r.readClock},
	} {
		if err := part.read(ctx, &s, since); err != nil {
			s.Missing = append(s.Missing, part.name+": "+err.Error())
		}
	}
	r.at = now
	return s
}

func (r *Reader) readMachine(ctx context.Context, s *Sample, _ float64) error {
	if r.info == nil {
		info, err := machine.InfoWithContext(ctx)
		if err != nil {
			return fmt.Errorf("asking the system: %w", err)
		}
		r.info = info
	}
	s.Hostname, s.Kernel = r.info.Hostname, r.info.KernelVersion
	if r.info.BootTime > 0 {
		boot := time.Unix(int64(r.info.BootTime), 0).UTC()
		s.BootTime = &boot
	}
	return nil
}

func (r *Reader) readCPU(ctx context.Context, s *Sample, _ float64) error {
	s.CPU.Cores = runtime.NumCPU()
	all, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(all) == 0 {
		return fmt.Errorf("reading the times: %w", err)
	}
	before := r.times
	r.times = all[0]
	s.CPU.UsagePercent = busy(before, all[0])
	return nil
}

// busy is the share of the time between two readings that was not idle; since the
// start of the machine for the first. Guest time is part of user time already.
func busy(a, b cpu.TimesStat) float64 {
	total := func(t cpu.TimesStat) float64 {
		return t.User + t.System + t.Nice + t.Irq + t.Softirq + t.Steal + t.Idle + t.Iowait
	}
	idle := (b.Idle + b.Iowait) - (a.Idle + a.Iowait)
	return percent((total(b)-total(a))-idle, total(b)-total(a))
}

// percent is part of whole, from 0 to 100.
func percent(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return min(100, max(0, 100*part/whole))
}

func (r *Reader) readLoad(ctx context.Context, s *Sample, _ float64) error {
	avg, err := load.AvgWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reading the averages: %w", err)
	}
	s.CPU.Load1, s.CPU.Load5, s.CPU.Load15 = avg.Load1, avg.Load5, avg.Load15
	return nil
}

func (r *Reader) readMemory(ctx context.Context, s *Sample, _ float64) error {
	m, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reading it: %w", err)
	}
	s.Memory = Memory{
		TotalBytes: m.Total, AvailableBytes: m.Available, UsagePercent: percent(float64(m.Total)-float64(m.Available), float64(m.Total)),
	}
	swap, err := mem.SwapMemoryWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reading the swap: %w", err)
	}
	s.Memory.SwapTotal, s.Memory.SwapUsed = swap.Total, swap.Used
	return nil
}

func (r *Reader) readNetwork(ctx context.Context, s *Sample, since float64) error {
	all, err := net.IOCountersWithContext(ctx, true)
	if err != nil {
		return fmt.Errorf("reading the counters: %w", err)
	}
	next := make(map[string]net.IOCountersStat, len(all))
	for _, c := range all {
		i := Interface{
			Name: c.Name, ReceivedBytes: c.BytesRecv, SentBytes: c.BytesSent,
			Errors: c.Errin + c.Errout, Dropped: c.Dropin + c.Dropout,
		}
		if before, ok := r.network[c.Name]; ok && since > 0 {
			i.ReceiveRate = rate(before.BytesRecv, c.BytesRecv, since)
			i.SendRate = rate(before.BytesSent, c.BytesSent, since)
		}
		next[c.Name] = c
		s.Network = append(s.Network, i)
	}
	r.network = next
	return nil
}

// rate is per second; 0 for a counter that began anew.
func rate(before, now uint64, seconds float64) float64 {
	if now < before {
		return 0
	}
	return float64(now-before) / seconds
}

func (r *Reader) readProcess(ctx context.Context, s *Sample, since float64) error {
	s.Process = Process{PID: os.Getpid(), Goroutines: runtime.NumGoroutine(), MaxOpenFiles: maxOpenFiles()}
	if r.self == nil {
		self, err := process.NewProcessWithContext(ctx, int32(os.Getpid())) //nolint:gosec // a process id fits
		if err != nil {
			return fmt.Errorf("finding this process: %w", err)
		}
		r.self = self
	}
	times, err := r.self.TimesWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reading its times: %w", err)
	}
	used := times.User + times.System
	if since > 0 {
		s.Process.CPUPercent = max(0, 100*(used-r.own)/since)
	}
	r.own = used
	m, err := r.self.MemoryInfoWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reading its memory: %w", err)
	}
	s.Process.ResidentBytes = m.RSS
	files, err := r.self.NumFDsWithContext(ctx)
	if err != nil {
		return fmt.Errorf("counting its files: %w", err)
	}
	s.Process.OpenFiles = int(files)
	threads, err := r.self.NumThreadsWithContext(ctx)
	if err != nil {
		return fmt.Errorf("counting its threads: %w", err)
	}
	s.Process.Threads = int(threads)
	return nil
}

func (r *Reader) readClock(_ context.Context, s *Sample, _ float64) error {
	s.Clock.Exchanges = []ExchangeClock{}
	if r.options.Clocks != nil {
		s.Clock.Exchanges = append(s.Clock.Exchanges, r.options.Clocks()...)
	}
	return kernelClock(&s.Clock)
}
