package host

import "time"

// Sample is what one reading found. Percentages are 0 to 100, sizes bytes, rates per
// second.
type Sample struct {
	Time time.Time `json:"time"`
	// Hostname, OS, Kernel and BootTime say which machine it is.
	Hostname string     `json:"hostname"`
	OS       string     `json:"os"`
	Kernel   string     `json:"kernel" doc:"its version"`
	BootTime *time.Time `json:"boot_time" doc:"null when it is not known"`

	CPU       CPU         `json:"cpu"`
	Memory    Memory      `json:"memory"`
	Disks     []Disk      `json:"disks" doc:"one for each mounted file system that holds data"`
	Network   []Interface `json:"network" doc:"the loopback interface included"`
	Process   Process     `json:"process" doc:"the one that answers"`
	Clock     Clock       `json:"clock" doc:"what is known of how right the machine's clock is"`
	Missing   []string    `json:"missing" doc:"what could not be read, and why"`
	DataMount string      `json:"data_mountpoint" doc:"where the data directory lies; empty when that is not known"`
}

// CPU is how busy the processors were since the reading before.
type CPU struct {
	Cores        int     `json:"cores" doc:"logical ones"`
	UsagePercent float64 `json:"usage_percent" doc:"0 to 100 of all cores together, since the reading before"`
	Load1        float64 `json:"load_1m" doc:"average load of the last minute"`
	Load5        float64 `json:"load_5m" doc:"average load of the last 5 minutes"`
	Load15       float64 `json:"load_15m" doc:"average load of the last 15 minutes"`
}

// Memory is the machine's.
type Memory struct {
	TotalBytes     uint64  `json:"total_bytes"`
	AvailableBytes uint64  `json:"available_bytes" doc:"what programs could get without swapping"`
	UsagePercent   float64 `json:"usage_percent" doc:"what is not available"`
	SwapTotal      uint64  `json:"swap_total_bytes" doc:"0 without swap"`
	SwapUsed       uint64  `json:"swap_used_bytes"`
}

// Disk is one mounted file system.
type Disk struct {
	Mountpoint    string  `json:"mountpoint"`
	Device        string  `json:"device"`
	FSType        string  `json:"fs_type"`
	TotalBytes    uint64  `json:"total_bytes"`
	FreeBytes     uint64  `json:"free_bytes" doc:"for programs without privileges"`
	UsagePercent  float64 `json:"usage_percent" doc:"0 to 100 of what programs without privileges could use"`
	InodesPercent float64 `json:"inodes_used_percent" doc:"0 to 100"`
}

// Interface is one network interface, the loopback one included.
type Interface struct {
	Name          string  `json:"name"`
	ReceivedBytes uint64  `json:"received_bytes_total" doc:"as the kernel counts"`
	SentBytes     uint64  `json:"sent_bytes_total" doc:"as the kernel counts"`
	ReceiveRate   float64 `json:"received_bytes_per_second" doc:"since the reading before; 0 at the first"`
	SendRate      float64 `json:"sent_bytes_per_second" doc:"since the reading before; 0 at the first"`
	Errors        uint64  `json:"errors_total" doc:"of receiving and of sending, as the kernel counts"`
	Dropped       uint64  `json:"dropped_total" doc:"packets, received and to be sent, as the kernel counts"`
}

// Process is this process.
type Process struct {
	PID           int     `json:"pid"`
	CPUPercent    float64 `json:"cpu_percent" doc:"of one core, since the reading before"`
	ResidentBytes uint64  `json:"resident_bytes" doc:"memory that it occupies"`
	OpenFiles     int     `json:"open_files" doc:"file descriptors"`
	MaxOpenFiles  uint64  `json:"max_open_files" doc:"the soft limit; 0 when it is not known"`
	Threads       int     `json:"threads"`
	Goroutines    int     `json:"goroutines"`
}

// Clock is what is known of how right the machine's clock is.
type Clock struct {
	// Synchronized is what the kernel says; nil where it says nothing.
	Synchronized *bool `json:"synchronized" doc:"whether the kernel's clock is disciplined; null when the kernel does not say"`
	// OffsetSeconds and ErrorSeconds are the kernel's estimates.
	OffsetSeconds *float64 `json:"offset_seconds" doc:"the kernel's estimate of how far the clock still is to be moved; null when it does not say"`
	ErrorSeconds  *float64 `json:"max_error_seconds" doc:"the kernel's bound of the error; null when it does not say"`
	// Exchanges are measured by the collector.
	Exchanges []ExchangeClock `json:"exchanges" doc:"how far the clocks of exchanges are ahead of ours, as the collector measures it"`
}

// ExchangeClock is how far the clock of an exchange is ahead of ours.
type ExchangeClock struct {
	Exchange      string  `json:"exchange"`
	Market        string  `json:"market"`
	OffsetSeconds float64 `json:"offset_seconds" doc:"positive where the exchange's clock is ahead of ours"`
}

// DataDisk is the file system that holds the data directory; false when it is not
// known.
func (s *Sample) DataDisk() (Disk, bool) {
	for _, d := range s.Disks {
		if d.Mountpoint == s.DataMount {
			return d, true
		}
	}
	return Disk{}, false
}
