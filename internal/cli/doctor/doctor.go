package doctor

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/host"
)

// Verdict is how something is.
type Verdict string

// The verdicts.
const (
	Pass Verdict = "pass"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
	Skip Verdict = "skip" // could not be looked at, or was not to be
)

// Finding is what one look found.
type Finding struct {
	Check   string  `json:"check"` // what was looked at, such as "port 8084"
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	// Fix is what to do about it; empty when nothing is to be done.
	Fix string `json:"fix,omitempty"`
}

// Plan is what is looked at.
type Plan struct {
	// DataDir holds journal, stores and state; it need not exist yet.
	DataDir string
	// FreeBytes and FreePercent of its file system must be free, the larger of the
	// two, or the journal refuses records. WantBytes is what it may grow to.
	FreeBytes, WantBytes uint64
	FreePercent          float64
	// Ports are what the program listens on.
	Ports []Port
	// Places are the servers that it needs.
	Places []Place
	// Offline looks at no places.
	Offline bool
	// OpenFiles is how many files and sockets the program may need.
	OpenFiles uint64
	// Within bounds the look at one place; 0 is 5 s.
	Within time.Duration
}

// Port is one that the program listens on.
type Port struct {
	Name    string // of the service
	Address string // host:port; port 0 takes any free one
	Setting string // that changes it
	// Holder is the process of this program, on the same data directory, that has it;
	// 0 when none runs.
	Holder int
}

// Machine reads the machine; *host.Reader does.
type Machine interface {
	Read(ctx context.Context) host.Sample
}

// Doctor examines.
type Doctor struct {
	Machine Machine
	// Client asks over HTTP. Its transport is also that of TLS connections, as far as
	// its TLS settings go.
	Client *http.Client
	// Nodes asks services of the program, which may have another authority; nil is
	// Client.
	Nodes *http.Client
	Now   func() time.Time
}

// New makes a Doctor of this machine.
func New(dataDir string) *Doctor {
	return &Doctor{
		Machine: host.NewReader(host.Options{DataDir: dataDir}),
		Client: &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Now: time.Now,
	}
}

// Examine looks at everything that a plan names.
func (d *Doctor) Examine(ctx context.Context, p *Plan) []Finding {
	if p.Within <= 0 {
		p.Within = 5 * time.Second
	}
	reached := make([]reached, len(p.Places))
	var all sync.WaitGroup
	if !p.Offline {
		for i := range p.Places {
			all.Go(func() { reached[i] = d.reach(ctx, &p.Places[i], p.Within) })
		}
	}
	sample := d.Machine.Read(ctx)
	out := []Finding{checkDirectory(p.DataDir), checkSync(p.DataDir)}
	out = append(out, checkDisk(&sample, p)...)
	for i := range p.Ports {
		out = append(out, d.checkPort(ctx, &p.Ports[i]))
	}
	out = append(out, checkFiles(&sample, p.OpenFiles), checkMemory(&sample), checkKernelClock(&sample))
	all.Wait()
	if p.Offline {
		return append(out, Finding{Check: "reachability", Verdict: Skip, Detail: "nothing was asked, as told"})
	}
	out = append(out, checkSkew(reached))
	for i := range reached {
		out = append(out, reached[i].finding)
	}
	return out
}

// Well says whether nothing failed.
func Well(findings []Finding) bool {
	for i := range findings {
		if findings[i].Verdict == Fail {
			return false
		}
	}
	return true
}
