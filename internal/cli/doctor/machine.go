package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/host"
)

// existing is the nearest directory at or above a path that is there.
func existing(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	for {
		if _, err := os.Stat(abs); !errors.Is(err, fs.ErrNotExist) || abs == filepath.Dir(abs) {
			return abs
		}
		abs = filepath.Dir(abs)
	}
}

// checkDirectory finds out whether data can be written where it is to lie. What is not
// there yet is not made: its nearest parent is tried.
func checkDirectory(dir string) Finding {
	f := Finding{Check: "data directory", Verdict: Pass, Detail: dir}
	at := existing(dir)
	if info, err := os.Stat(at); err == nil && !info.IsDir() {
		f.Verdict, f.Detail, f.Fix = Fail, at+" is a file", "name a directory with node.data_dir"
		return f
	}
	probe, err := os.CreateTemp(at, ".doctor-*")
	if err != nil {
		f.Verdict, f.Detail = Fail, fmt.Sprintf("%s: %v", dir, err)
		f.Fix = fmt.Sprintf("make it writable for this user (chown %d %s), or name another with node.data_dir", os.Getuid(), at)
		return f
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		f.Verdict, f.Detail, f.Fix = Fail, err.Error(), "look at the file system: it made a file and would not take it away"
		return f
	}
	if abs, err := filepath.Abs(dir); err == nil && abs != at {
		f.Detail += " will be made"
	}
	return f
}

// Bounds of the time that one sync takes. Each batch of records waits for one.
const (
	syncSlow = 20 * time.Millisecond
	syncs    = 5
)

// checkSync measures how long the disk takes to make 4 KiB safe: the middle of some.
func checkSync(dir string) Finding {
	f := Finding{Check: "disk sync", Verdict: Pass}
	probe, err := os.CreateTemp(existing(dir), ".doctor-*")
	if err != nil {
		f.Verdict, f.Detail = Skip, "no file can be written to try it"
		return f
	}
	took := make([]time.Duration, 0, syncs)
	block := make([]byte, 4<<10)
	for range syncs {
		begin := time.Now()
		_, err := probe.Write(block)
		if err = errors.Join(err, probe.Sync()); err != nil {
			f.Verdict, f.Detail, f.Fix = Fail, "writing 4 KiB: "+err.Error(), "free some space, or look at the disk: dmesg says more"
			break
		}
		took = append(took, time.Since(begin))
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil && f.Verdict == Pass {
		f.Verdict, f.Detail = Warn, err.Error()
	}
	if f.Verdict != Pass {
		return f
	}
	slices.Sort(took)
	middle := took[len(took)/2]
	f.Detail = fmt.Sprintf("%s for 4 KiB", middle.Round(10*time.Microsecond))
	if middle > syncSlow {
		f.Verdict = Warn
		f.Fix = "acknowledging records takes at least that long: put node.data_dir on a local SSD"
	}
	return f
}

const mebi = 1 << 20

// checkDisk compares free space with what the journal refuses at, and may grow to.
func checkDisk(s *host.Sample, p *Plan) []Finding {
	disk, ok := s.DataDisk()
	if !ok {
		return []Finding{{Check: "disk space", Verdict: Skip, Detail: "the file system of " + p.DataDir + " could not be measured"}}
	}
	f := Finding{Check: "disk space", Verdict: Pass}
	need := max(p.FreeBytes, uint64(float64(disk.TotalBytes)*p.FreePercent/100))
	f.Detail = fmt.Sprintf("%d MiB of %d MiB free on %s", disk.FreeBytes/mebi, disk.TotalBytes/mebi, disk.Mountpoint)
	switch {
	case disk.FreeBytes < need:
		f.Verdict = Fail
		f.Detail += fmt.Sprintf("; below %d MiB the journal refuses records", need/mebi)
		f.Fix = "free some space, or put node.data_dir on a larger disk"
	case disk.FreeBytes < need+p.WantBytes:
		f.Verdict = Warn
		f.Detail += fmt.Sprintf("; the journal alone may grow to %d MiB", p.WantBytes/mebi)
		f.Fix = "free some space, or lower data-storage-service.journal.max_bytes"
	}
	inodes := Finding{Check: "disk inodes", Verdict: Pass, Detail: fmt.Sprintf("%.0f %% used", disk.InodesPercent)}
	if disk.InodesPercent > 90 {
		inodes.Verdict = Warn
		inodes.Fix = "remove small files, or use a file system with more inodes"
	}
	return []Finding{f, inodes}
}

// fewFiles is what no program of this kind can do with.
const fewFiles = 256

func checkFiles(s *host.Sample, need uint64) Finding {
	have := s.Process.MaxOpenFiles
	f := Finding{Check: "open files", Verdict: Pass, Detail: fmt.Sprintf("%d may be open", have)}
	switch {
	case have == 0:
		f.Verdict, f.Detail = Skip, "the limit is not known on this system"
	case have < fewFiles:
		f.Verdict = Fail
	case have < need:
		f.Verdict = Warn
	}
	if f.Verdict == Warn || f.Verdict == Fail {
		f.Detail += fmt.Sprintf("; the program may need %d", need)
		f.Fix = "ulimit -Hn 65536 in the shell that starts it, or LimitNOFILE=65536 in its systemd unit"
	}
	return f
}

// littleMemory is what a small set of instruments needs, in bytes.
const littleMemory = 512 * mebi

func checkMemory(s *host.Sample) Finding {
	m := s.Memory
	f := Finding{Check: "memory", Verdict: Pass, Detail: fmt.Sprintf("%d MiB of %d MiB available", m.AvailableBytes/mebi, m.TotalBytes/mebi)}
	switch {
	case m.TotalBytes == 0:
		f.Verdict, f.Detail = Skip, "it could not be measured"
	case m.AvailableBytes < littleMemory:
		f.Verdict = Warn
		f.Fix = "end other programs, collect fewer instruments, or lower data-storage-service.recorder.credit_max"
	}
	return f
}

func checkKernelClock(s *host.Sample) Finding {
	f := Finding{Check: "clock", Verdict: Pass}
	c := s.Clock
	switch {
	case c.Synchronized == nil:
		f.Verdict, f.Detail = Skip, "the kernel does not say whether it is synchronised"
	case !*c.Synchronized:
		f.Verdict, f.Detail = Warn, "the kernel says that nothing keeps it right"
		f.Fix = "run chrony or systemd-timesyncd (timedatectl set-ntp true); in a container or a virtual machine, the host does"
	default:
		f.Detail = "synchronised"
		if c.ErrorSeconds != nil {
			f.Detail += fmt.Sprintf(", at most %s wrong", time.Duration(*c.ErrorSeconds*1e9).Round(time.Millisecond))
		}
	}
	return f
}
