package host

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"
)

// maxDisks bounds the file systems of a sample, and with them the series of metrics.
const maxDisks = 32

// pseudo are file systems that hold no data.
var pseudo = map[string]bool{
	"autofs": true, "binfmt_misc": true, "bpf": true, "cgroup": true, "cgroup2": true, "configfs": true, "debugfs": true, "devpts": true,
	"devtmpfs": true, "fusectl": true, "hugetlbfs": true, "mqueue": true, "nsfs": true, "proc": true, "pstore": true, "ramfs": true,
	"rpc_pipefs": true, "securityfs": true, "squashfs": true, "sysfs": true, "tracefs": true, "tmpfs": true, "none": true, "": true,
}

// readDisks reads every file system that holds data, each once, and the one of the
// data directory in any case.
func (r *Reader) readDisks(ctx context.Context, s *Sample, _ float64) error {
	parts, err := disk.PartitionsWithContext(ctx, true)
	if err != nil {
		return fmt.Errorf("listing the mounts: %w", err)
	}
	slices.SortStableFunc(parts, func(a, b disk.PartitionStat) int {
		return cmp.Or(cmp.Compare(len(a.Mountpoint), len(b.Mountpoint)), strings.Compare(a.Mountpoint, b.Mountpoint))
	})
	data := r.dataMount(parts)
	s.DataMount = data
	seen := map[string]bool{}
	for _, p := range parts {
		if p.Mountpoint != data && (pseudo[p.Fstype] || seen[p.Device] || len(s.Disks) >= maxDisks || !isDirectory(p.Mountpoint)) {
			continue
		}
		u, err := disk.UsageWithContext(ctx, p.Mountpoint)
		if err != nil || u.Total == 0 {
			continue // not ours to see, or nothing there
		}
		seen[p.Device] = true
		s.Disks = append(s.Disks, Disk{
			Mountpoint: p.Mountpoint, Device: p.Device, FSType: p.Fstype, TotalBytes: u.Total, FreeBytes: u.Free,
			UsagePercent: percent(float64(u.Used), float64(u.Used+u.Free)), InodesPercent: u.InodesUsedPercent,
		})
	}
	return nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// dataMount is the longest mount point above the data directory.
func (r *Reader) dataMount(parts []disk.PartitionStat) string {
	if r.dataDir == "" {
		return ""
	}
	best := ""
	for _, p := range parts {
		if r.dataDir == p.Mountpoint || p.Mountpoint == "/" || strings.HasPrefix(r.dataDir, p.Mountpoint+"/") {
			if len(p.Mountpoint) >= len(best) {
				best = p.Mountpoint
			}
		}
	}
	return best
}
