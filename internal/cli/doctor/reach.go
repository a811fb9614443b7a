package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Place is a server that the program needs.
type Place struct {
	Name string
	// URL says how it is asked: http and https with a request; ws, wss, tcp and tls by
	// connecting; unix by the path of its socket.
	URL string
	// Setting is where it was given.
	Setting string
	// Exchange says that it is of an exchange, whose Date header tells the time.
	Exchange bool
	// Node says that it is a service of the program.
	Node bool
	// Needed says that nothing works without it; else its absence is a warning.
	Needed bool
}

// reached is what came of asking one place.
type reached struct {
	finding Finding
	timed   bool
	offset  time.Duration // its clock before ours, to half a second
}

// ports are those of URLs that name none.
var ports = map[string]string{"http": "80", "ws": "80", "https": "443", "wss": "443"}

func (d *Doctor) reach(ctx context.Context, p *Place, within time.Duration) reached {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	r := reached{finding: Finding{Check: p.Name, Verdict: Pass}}
	u, err := url.Parse(p.URL)
	if err != nil {
		r.finding.Verdict, r.finding.Detail, r.finding.Fix = Fail, err.Error(), "correct "+p.Setting
		return r
	}
	begin := d.Now()
	if u.Scheme == "http" || u.Scheme == "https" {
		err = d.ask(ctx, p, &r)
	} else {
		err = d.connect(ctx, u)
	}
	if err != nil {
		r.finding.Verdict = Warn
		if p.Needed {
			r.finding.Verdict = Fail
		}
		r.finding.Detail, r.finding.Fix = u.Redacted()+": "+cause(err), remedy(err, p)
		return r
	}
	if r.finding.Detail == "" {
		r.finding.Detail = fmt.Sprintf("%s answers within %s", u.Redacted(), d.Now().Sub(begin).Round(time.Millisecond))
	}
	return r
}

// ask sends a request. Any answer will do, but for one that says that it answers nobody
// from here.
func (d *Doctor) ask(ctx context.Context, p *Place, r *reached) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil {
		return err
	}
	begin := d.Now()
	client := d.Client
	if p.Node && d.Nodes != nil {
		client = d.Nodes
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	took := d.Now().Sub(begin)
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil && p.Exchange {
		// It is cut to the second, and was written about half way.
		r.timed, r.offset = true, at.Add(500*time.Millisecond).Sub(begin.Add(took/2))
	}
	switch resp.StatusCode {
	case http.StatusForbidden, http.StatusUnavailableForLegalReasons:
		r.finding.Verdict = Warn
		r.finding.Detail = fmt.Sprintf("%s answers %d: it may serve nobody at this address", p.URL, resp.StatusCode)
		r.finding.Fix = "ask from another network or country, or name a host that serves this one with " + p.Setting
	case http.StatusTooManyRequests, http.StatusTeapot:
		r.finding.Verdict = Warn
		r.finding.Detail = fmt.Sprintf("%s answers %d: this address has asked too often", p.URL, resp.StatusCode)
		r.finding.Fix = "wait some minutes, and collect with one program per address"
	}
	return nil
}

// connect opens a connection and closes it.
func (d *Doctor) connect(ctx context.Context, u *url.URL) error {
	network, address := "tcp", u.Host
	if u.Scheme == "unix" {
		network, address = "unix", u.Path
	} else if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), ports[u.Scheme])
	}
	var c net.Conn
	var err error
	if u.Scheme == "wss" || u.Scheme == "tls" {
		dialer := tls.Dialer{}
		if t, ok := d.Client.Transport.(*http.Transport); ok {
			dialer.Config = t.TLSClientConfig.Clone()
		}
		c, err = dialer.DialContext(ctx, network, address)
	} else {
		var dialer net.Dialer
		c, err = dialer.DialContext(ctx, network, address)
	}
	if err != nil {
		return err
	}
	return c.Close()
}

// cause is an error without what is said beside it already.
func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}

// remedy says what to do about a place that cannot be reached.
func remedy(err error, p *Place) string {
	var name *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &name):
		return "its name is not known here: look at /etc/resolv.conf, or correct " + p.Setting
	case errors.As(err, &cert):
		return "its certificate is not trusted: install the authority's (ca-certificates), and see that no proxy stands between"
	case p.Exchange:
		return "let this machine out to it (firewall, HTTPS_PROXY), or correct " + p.Setting + "; `marketprism dev` needs no network"
	}
	return "start it, let this machine reach it, or correct " + p.Setting
}

// Bounds of how far clocks may be apart. Date headers are of whole seconds.
const (
	skewOdd = 2 * time.Second
	skewBad = 30 * time.Second
)

// checkSkew compares our clock with those of exchanges: the one in the middle.
func checkSkew(all []reached) Finding {
	f := Finding{Check: "clock skew", Verdict: Pass}
	var offsets []time.Duration
	for i := range all {
		if all[i].timed {
			offsets = append(offsets, all[i].offset)
		}
	}
	if len(offsets) == 0 {
		f.Verdict, f.Detail = Skip, "no exchange told the time"
		return f
	}
	slices.Sort(offsets)
	middle := offsets[len(offsets)/2]
	f.Detail = fmt.Sprintf("%d servers are %s ahead of this machine, to half a second", len(offsets), middle.Round(100*time.Millisecond))
	switch {
	case middle.Abs() > skewBad:
		f.Verdict = Fail
	case middle.Abs() > skewOdd:
		f.Verdict = Warn
	}
	if f.Verdict != Pass {
		f.Fix = "set the clock: run chrony or systemd-timesyncd (timedatectl set-ntp true)"
	}
	return f
}
