package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/gateway/access"
	"github.com/marketprism/marketprism/actors/trust"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/http/chassis"
	facade "github.com/marketprism/marketprism/http/gateway"
	"github.com/marketprism/marketprism/internal/identity"
)

// accessBucket keeps users, logins and API keys.
const accessBucket = "access"

// FirstLogin is the file in which the first start puts the password of the user that
// it makes.
func FirstLogin(dataDir string) string { return filepath.Join(dataDir, "first-login.json") }

// Login is what that file holds.
type Login struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// exposed says whether others than this host reach the services.
func exposed(c *config.Config) bool {
	if c.Node.Listen == "localhost" {
		return false
	}
	ip := net.ParseIP(c.Node.Listen)
	return ip == nil || !ip.IsLoopback()
}

// guarded says whether services demand an identity, and asked whether the gateway asks
// clients who they are.
func (a *App) guarded() bool {
	return exposed(a.cfg) || a.cfg.HTTP.Identity == chassis.IdentityRequired || a.certified()
}

func (a *App) asked() bool {
	switch a.cfg.Gateway.Auth.Enabled {
	case access.On:
		return true
	case access.Off:
		return false
	}
	return a.guarded()
}

// makeAudit makes the audit log, whose actor belongs to the broker's branch.
func (a *App) makeAudit() error {
	var err error
	a.audit, err = audit.New(audit.Options{
		Config: a.cfg.Gateway.Audit, Connect: a.connectAs(broker.Audit), Node: a.node, Log: a.log, Registerer: a.registry,
	})
	if err == nil {
		a.closers = append(a.closers, func() error { a.audit.Close(); return nil })
	}
	return err
}

// makeTrust makes what makes this process known to the others, and them to it: before
// whatever asks them.
func (a *App) makeTrust() error {
	store := bucket.New(a.connectAs(broker.Identity), bucket.Options{
		Name: trust.Bucket, Description: "public keys of processes", TTL: trust.TTL, Replicas: a.cfg.Gateway.Audit.Replicas,
	})
	a.closers = append(a.closers, func() error { store.Close(); return nil })
	var err error
	a.trust, err = trust.New(trust.Options{
		Store: store, Node: a.node, Services: a.services, Clients: a.runs(cluster.Gateway), Await: a.guarded(),
	})
	return err
}

// startTrust announces this process, once there is a broker.
func (a *App) startTrust(ctx context.Context) error {
	if _, err := a.system.StartChild(ctx, rootID, a.trust.Spec()); err != nil {
		return fmt.Errorf("announcing this process: %w", err)
	}
	return nil
}

// gate is who may ask a service; nil: everybody. The gateway asks its clients itself.
func (a *App) gate(service string) (chassis.Gate, error) {
	if service == cluster.Gateway {
		if !a.asked() {
			return nil, nil
		}
		return a.auth, nil
	}
	if !a.guarded() {
		return nil, nil
	}
	return chassis.NewMembers(chassis.MembersOptions{
		Service: service, Verifier: a.trust.Verifier(), Certificates: a.certs, Certified: a.certified(), Registerer: a.registry,
	})
}

// startAccess starts what knows the gateway's clients.
func (a *App) startAccess(ctx context.Context) error {
	store := bucket.New(a.connectAs(broker.Gateway), bucket.Options{
		Name: accessBucket, Description: "users, logins and API keys", Replicas: a.cfg.Gateway.Audit.Replicas,
	})
	a.closers = append(a.closers, func() error { store.Close(); return nil })
	o := access.Options{
		Config: a.cfg.Gateway.Auth, Store: store, Audit: a.audit, Services: cluster.Services(), Log: a.log, Registerer: a.registry,
	}
	if a.asked() {
		o.First = a.handOut
	}
	var err error
	if a.access, err = access.New(o); err != nil {
		return err
	}
	a.auth, err = facade.NewAuth(facade.AuthOptions{
		Desk: a.access, Enforce: a.asked(), Signer: a.trust.Signer(), Verifier: a.trust.Verifier(), Services: cluster.Services(),
	})
	if err != nil {
		return err
	}
	if _, err := a.system.StartChild(ctx, rootID, a.access.Spec()); err != nil {
		return fmt.Errorf("starting to know users and keys: %w", err)
	}
	return nil
}

// handOut writes the first user's password where only the owner of the data directory
// reads it; no password takes it back.
func (a *App) handOut(user, password string) error {
	path := FirstLogin(a.cfg.Node.DataDir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing an older first login: %w", err)
	}
	if password == "" {
		return nil
	}
	text, err := json.Marshal(Login{user, password})
	if err != nil {
		return fmt.Errorf("encoding the first login: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing the first login: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the first login: %w", err)
	}
	a.log.Warn("there was no user: one was made, whose password is in a file; log in and change it", zap.String("user", user), zap.String("file", path))
	return nil
}

// carry makes requests to the program's services show who sends them, on connections
// that show the node's certificate.
func (a *App) carry(as string) func(http.RoundTripper) http.RoundTripper {
	places := &servicePlaces{app: a}
	return func(base http.RoundTripper) http.RoundTripper {
		if t, ok := base.(*http.Transport); ok {
			base = a.secure(t, func(ctx context.Context, address string) bool { _, ours := places.at(ctx, address); return ours })
		}
		return &identity.Transport{Base: base, Signer: a.trust.Signer(), As: as, Service: places.at}
	}
}

// asMonitoring sends the requests by which services are watched. None is redirected.
func (a *App) asMonitoring() func(*http.Request) (*http.Response, error) {
	client := &http.Client{
		Transport:     a.carry(cluster.Monitoring)(&http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	a.closers = append(a.closers, func() error { client.CloseIdleConnections(); return nil })
	return client.Do
}

// prove shows who sends a request of the gateway's own.
func (a *App) prove(r *http.Request, service string) error {
	if !slices.Contains(cluster.Services(), service) {
		return nil
	}
	return a.trust.Signer().Prove(r.Header, cluster.Gateway, service)
}

// servicePlaces says which service answers at an address.
type servicePlaces struct {
	app   *App
	mu    sync.Mutex
	read  time.Time
	known map[string]string // host:port -> service
}

const (
	placesFor   = 5 * time.Second        // what is known counts
	placesAgain = 200 * time.Millisecond // after which an unknown address is looked for again
)

func (p *servicePlaces) at(ctx context.Context, host string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	age := time.Since(p.read)
	service, ok := p.known[host]
	if age < placesAgain || ok && age < placesFor {
		return service, ok
	}
	p.known = p.app.places(ctx)
	p.read = time.Now()
	service, ok = p.known[host]
	return service, ok
}

// places are where the program's services answer.
func (a *App) places(ctx context.Context) map[string]string {
	known := map[string]string{}
	for _, service := range cluster.Services() {
		urls, err := a.addresses(ctx, service)
		if err != nil {
			a.log.Warn("where a service answers is not known", zap.String("about", service), zap.Error(err))
		}
		if found, err := a.instances(ctx, service); err == nil { // others than the one on this data directory
			for _, f := range found {
				urls = append(urls, f.URL())
			}
		}
		select {
		case <-a.listening:
			if a.runs(service) {
				urls = append(urls, a.servers[service].URL())
				if own, err := a.resolve(ctx, service); err == nil {
					urls = append(urls, own...)
				}
			}
		default: // nobody asks them yet
		}
		for _, text := range urls {
			if u, err := url.Parse(text); err == nil {
				known[u.Host] = service
			}
		}
	}
	return known
}
