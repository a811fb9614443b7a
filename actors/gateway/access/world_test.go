package access_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/gateway/access"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/identity"
)

// notes is an audit log in memory.
type notes struct {
	mu  sync.Mutex
	all []audit.Entry
}

func (n *notes) Record(_ context.Context, e audit.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, e)
}

func (n *notes) of(action, outcome string) (found []audit.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.all {
		if e.Action == action && e.Outcome == outcome {
			found = append(found, e)
		}
	}
	return found
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type world struct {
	*access.Desk
	t        *testing.T
	store    *buckettest.Memory
	clock    *clock
	notes    *notes
	password string // of the first user
	boss     access.Act
}

// cheap is a configuration whose passwords cost nothing to hash.
func cheap() access.Config {
	c := access.DefaultConfig()
	c.Password.MemoryKiB, c.Password.Passes = 8, 1
	return c
}

var services = []string{"data-storage-service", "scheduler-service"}

// open starts a desk on a store; nil makes one.
func open(t *testing.T, store *buckettest.Memory, c access.Config) *world {
	t.Helper()
	if store == nil {
		store = buckettest.New()
	}
	w := &world{
		t: t, store: store, clock: &clock{now: time.Now()}, notes: &notes{},
		boss: access.Act{By: identity.Principal{Subject: "admin", Kind: identity.User, Role: identity.Admin}, From: from},
	}
	w.start(c)
	return w
}

func (w *world) start(c access.Config) {
	w.t.Helper()
	var err error
	w.Desk, err = access.New(access.Options{
		Config: c, Store: w.store, Audit: w.notes, Services: services, Now: w.clock.Now,
		First: func(_, password string) error {
			w.password = password
			return nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	sys, err := supervise.NewSystem(w.t.Context(), supervise.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := sys.Start(ctx, w.Spec()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := sys.Stop(context.Background()); err != nil {
			w.t.Errorf("stopping: %v", err)
		}
	})
}

var from = access.Client{Address: "192.0.2.7", RequestID: "r1"}

const good = "correct horse battery"

func (w *world) add(name string, role identity.Role) {
	w.t.Helper()
	if _, err := w.AddUser(w.t.Context(), w.boss, name, good, role); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) login(name string) access.Tokens {
	w.t.Helper()
	t, err := w.Login(w.t.Context(), name, good, from)
	if err != nil {
		w.t.Fatalf("login of %s: %v", name, err)
	}
	return t
}

func (w *world) who(token string) (identity.Principal, error) {
	return w.Authenticate(w.t.Context(), access.Credential{Token: token})
}

// signingKey reads a key that signs access tokens out of the store.
func (w *world) signingKey() (kid string, secret []byte) {
	w.t.Helper()
	docs, err := w.store.Load(w.t.Context(), "signing.")
	if err != nil || len(docs) == 0 {
		w.t.Fatalf("%d signing keys, %v", len(docs), err)
	}
	k := decode[struct {
		ID     string
		Secret []byte
	}](w.t, docs[0])
	return k.ID, k.Secret
}

func sign(t *testing.T, method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var _ bucket.Store = (*buckettest.Memory)(nil)
