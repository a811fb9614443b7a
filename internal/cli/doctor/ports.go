package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// checkPort finds out whether a port can be had, or is held by the program itself.
func (d *Doctor) checkPort(ctx context.Context, p *Port) Finding {
	f := Finding{Check: "port of " + p.Name, Verdict: Pass}
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		f.Verdict, f.Detail, f.Fix = Fail, err.Error(), "correct "+p.Setting
		return f
	}
	if port == "0" {
		f.Detail = "any free one"
		return f
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", p.Address)
	if err == nil {
		f.Detail = p.Address + " is free"
		if err := l.Close(); err != nil {
			f.Verdict, f.Detail = Warn, err.Error()
		}
		return f
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && p.Holder != 0:
		f.Detail = fmt.Sprintf("%s is held by the running program, process %d", p.Address, p.Holder)
		return f
	case errors.Is(err, syscall.EADDRINUSE):
		f.Detail = p.Address + " is taken" + d.by(ctx, p.Address)
		f.Fix = fmt.Sprintf("stop what has it (ss -ltnp 'sport = :%s' says who), or choose another with --set %s=…", port, p.Setting)
	case errors.Is(err, syscall.EACCES):
		f.Detail = p.Address + " may not be listened on by this user"
		f.Fix = fmt.Sprintf("choose a port from 1024 on with --set %s=…", p.Setting)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		f.Detail = "this machine has no address " + host
		f.Fix = "choose one that `ip address` lists for node.listen, or 0.0.0.0"
	default:
		f.Detail, f.Fix = err.Error(), "correct node.listen or "+p.Setting
	}
	f.Verdict = Fail
	return f
}

// by says what answers at an address, where it says so itself.
func (d *Doctor) by(ctx context.Context, address string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	client, scheme := d.Client, "http://"
	if d.Nodes != nil {
		client, scheme = d.Nodes, "https://"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+address+"/livez", nil)
	if err != nil {
		return ""
	}
	resp, err := client.Do(r)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var who struct {
		Service string `json:"service"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&who) != nil || who.Service == "" {
		return ""
	}
	return " by the " + who.Service + " of another program like this one, on another data directory"
}
