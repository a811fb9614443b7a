package consul_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/cluster/consul"
	"github.com/marketprism/marketprism/cluster/consul/consultest"
	"github.com/marketprism/marketprism/internal/certs/certstest"
)

const management = "8a6f2c1e-5b1d-4a7e-9c53-0d2f6e1b7a94"

// secure starts a Consul that wants certificates and tokens, and returns its
// administrator and what a node's configuration needs, but for the token.
func secure(t *testing.T) (*api.Client, cluster.ConsulConfig) {
	t.Helper()
	authority := certstest.New(t, "the cluster's")
	server := certstest.Files(t, t.TempDir(), authority.Node("consul"), authority.PEM())
	node := authority.Node("node-1")
	own := certstest.Files(t, t.TempDir(), node, authority.PEM())
	s := consultest.StartSecure(t, consultest.Security{
		CAFile: server.CAFile, CertFile: server.CertFile, KeyFile: server.KeyFile,
		Client: certstest.Client(t, node, authority.PEM()), Management: management,
	})
	c := cluster.DefaultConsul()
	c.Address, c.Scheme = s.HTTP, "https"
	c.TLS = cluster.ConsulTLS{CAFile: own.CAFile, CertFile: own.CertFile, KeyFile: own.KeyFile}
	o := api.DefaultConfig()
	o.Address, o.Scheme, o.Token = c.Address, c.Scheme, management
	o.TLSConfig = api.TLSConfig{CAFile: own.CAFile, CertFile: own.CertFile, KeyFile: own.KeyFile}
	administrator, err := api.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return administrator, c
}

// policed makes a token by the policy that is shipped, and returns the file with it, and
// what puts another token there and ends the one before.
func policed(t *testing.T, administrator *api.Client) (path string, rotate func()) {
	t.Helper()
	rules, err := os.ReadFile("../../deploy/consul/marketprism.hcl")
	if err != nil {
		t.Fatal(err)
	}
	policy, _, err := administrator.ACL().PolicyCreate(&api.ACLPolicy{Name: "marketprism", Rules: string(rules)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "token")
	var before *api.ACLToken
	rotate = func() {
		t.Helper()
		token, _, err := administrator.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		certstest.Replace(t, path, []byte(token.SecretID+"\n"))
		if before != nil {
			if _, err := administrator.ACL().TokenDelete(before.AccessorID, nil); err != nil {
				t.Fatal(err)
			}
		}
		before = token
	}
	rotate()
	return path, rotate
}

// begin starts a node that announces nothing yet.
func begin(t *testing.T, c cluster.ConsulConfig, name string, follows ...string) (*consul.Node, *supervise.System) {
	t.Helper()
	n, err := consul.New(consul.Options{Config: c, Name: name, Services: follows})
	if err != nil {
		t.Fatal(err)
	}
	system, err := supervise.NewSystem(t.Context(), supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := system.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := system.Start(within(t, time.Minute), n.Spec()); err != nil {
		t.Fatal(err)
	}
	return n, system
}

// TestSecureConsul: with TLS on both ends, every right denied that is not given, and
// the policy that is shipped, a node announces all its services, sees who there is and
// takes a lease; without the token it is told so. A token that takes the place of another
// is in use without a restart.
func TestSecureConsul(t *testing.T) {
	t.Parallel()
	administrator, c := secure(t)
	stranger, refused := begin(t, c, "node-2")
	ctx := within(t, time.Minute)
	if err := stranger.Announce(ctx, refused, consul.Announcement{Service: cluster.Storage, Host: "127.0.0.1", Port: 7000}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a node without a token is told that it is refused", func() bool { return stranger.Err() != nil })

	var rotate func()
	c.TokenFile, rotate = policed(t, administrator)
	names := append(cluster.Services(), "marketprism-node", "marketprism-nats")
	n, system := begin(t, c, "node-1", names...)
	for i, name := range names {
		if err := n.Announce(ctx, system, consul.Announcement{Service: name, Host: "127.0.0.1", Port: 7000 + i, Meta: map[string]string{"version": "1.2.3"}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		eventually(t, name+" is in the catalog, and well", func() bool {
			found, _, err := administrator.Health().Service(name, "marketprism", true, nil)
			if err != nil || len(found) != 1 {
				return false
			}
			s := found[0].Service
			if s.Port != 7000+i || s.Address != "127.0.0.1" || s.Meta["version"] != "1.2.3" || s.Meta["node"] != "node-1" || s.ID != name+"@node-1" {
				t.Fatalf("the catalog has %+v", s)
			}
			for _, check := range found[0].Checks {
				if check.ServiceID == s.ID && check.Type == "ttl" && check.Status == api.HealthPassing {
					return true
				}
			}
			return false
		})
		eventually(t, name+" is seen", func() bool { return len(n.View(name).Members) == 1 })
	}
	_, release, err := n.NewLease("job", "marketprism-node", nil).Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	release()
	rotate()
	if _, release, err = n.NewLease("job", "marketprism-node", nil).Acquire(ctx); err != nil {
		t.Fatalf("with a token that took the place of another: %v", err)
	}
	release()
	eventually(t, "heartbeats are taken too", func() bool { return n.Err() == nil })
	if err := n.Withdraw(ctx, system, names...); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		eventually(t, name+" has left the catalog", func() bool {
			found, _, err := administrator.Catalog().Service(name, "", nil)
			return err == nil && len(found) == 0
		})
	}
}
