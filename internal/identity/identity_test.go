package identity_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/identity"
)

const storage, scheduler = "data-storage-service", "scheduler-service"

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func signer(t *testing.T, c *clock, ring *identity.Keyring, clients bool, services ...string) *identity.Signer {
	t.Helper()
	s, err := identity.NewSigner(identity.SignerOptions{Node: "n", Services: services, Clients: clients, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Add(s.Announcement()); err != nil {
		t.Fatal(err)
	}
	return s
}

func alice() identity.Principal {
	return identity.Principal{
		Subject: "alice", Kind: identity.User, Role: identity.Writer,
		Scopes: []identity.Scope{{Service: storage, Role: identity.Reader}, {Service: "*", Role: identity.Writer}},
	}
}

func TestToken(t *testing.T) {
	at := &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	ring := identity.NewKeyring()
	gateway := signer(t, at, ring, true, "api-gateway-service")
	other := signer(t, at, ring, false, scheduler)
	stranger, err := identity.NewSigner(identity.SignerOptions{Clients: true, Now: at.Now})
	if err != nil {
		t.Fatal(err)
	}
	v := identity.NewVerifier(identity.VerifierOptions{Keys: ring, Now: at.Now})
	good, err := gateway.Sign(alice(), storage)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(t.Context(), good, storage)
	if err != nil || got.String() != "user:alice" || got.Role != identity.Writer || !slices.Equal(got.Scopes, alice().Scopes) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if again, err := gateway.Sign(alice(), storage); err != nil || again != good {
		t.Errorf("a fresh token is not used again: %v", err)
	}
	foreign, err := stranger.Sign(alice(), storage)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Sign(alice(), storage); err == nil {
		t.Error("a service signed for a client")
	}
	if _, err := other.Sign(identity.Principal{Subject: storage, Kind: identity.Service, Role: identity.Operator}, storage); err == nil {
		t.Error("a service signed for another")
	}
	fields := strings.Split(good, ".")
	body, err := base64.RawURLEncoding.DecodeString(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	admin := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(body), "writer", "admin", 1)))
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed := fields[0] + "." + fields[1] + "." + fields[2]
	for name, token := range map[string]string{
		"empty":             "",
		"words":             "let me in",
		"no signature":      signed + ".",
		"signature gone":    signed,
		"tampered":          fields[0] + "." + fields[1] + "." + admin + "." + fields[3],
		"other key":         signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(signed))),
		"unknown key":       foreign,
		"other key's id":    fields[0] + "." + other.Announcement().ID + "." + fields[2] + "." + fields[3],
		"other version":     "mp2." + strings.Join(fields[1:], "."),
		"a fifth part":      good + ".",
		"bits at the end":   good[:len(good)-1] + string(good[len(good)-1]^1),
		"very long":         strings.Repeat("a", 1<<20),
		"a JWT of alg none": "eyJhbGciOiJub25lIn0." + fields[2] + ".",
	} {
		if p, err := v.Verify(t.Context(), token, storage); !errors.Is(err, identity.ErrToken) || p.Subject != "" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if _, err := v.Verify(t.Context(), good, scheduler); !errors.Is(err, identity.ErrToken) {
		t.Errorf("for another service: %v", err)
	}
	begin := at.now
	for _, tc := range []struct {
		name  string
		after time.Duration
		ok    bool
	}{
		{"within the skew of clocks before", -identity.Skew, true},
		{"from the future", -identity.Skew - 2*time.Second, false},
		{"at its end", identity.Lifetime, true},
		{"expired", identity.Lifetime + identity.Skew + 2*time.Second, false},
	} {
		at.now = begin.Add(tc.after)
		if _, err := v.Verify(t.Context(), good, storage); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	at.now = begin
	ring.Remove(gateway.Announcement().ID)
	if _, err := v.Verify(t.Context(), good, storage); !errors.Is(err, identity.ErrToken) {
		t.Errorf("of a withdrawn key: %v", err)
	}
}

// TestAnnounced: what a key signs beyond its announcement is not believed, whoever
// signed it.
func TestAnnounced(t *testing.T) {
	at := &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	s, err := identity.NewSigner(identity.SignerOptions{Services: []string{scheduler}, Clients: true, Now: at.Now})
	if err != nil {
		t.Fatal(err)
	}
	ring := identity.NewKeyring()
	less := s.Announcement()
	less.Clients = false
	if err := ring.Add(less); err != nil {
		t.Fatal(err)
	}
	v := identity.NewVerifier(identity.VerifierOptions{Keys: ring, Now: at.Now})
	token, err := s.Sign(alice(), storage)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), token, storage); !errors.Is(err, identity.ErrToken) {
		t.Errorf("a client, signed by a service: %v", err)
	}
	token, err = s.Sign(identity.Principal{Subject: scheduler, Kind: identity.Service, Role: identity.Operator}, storage)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := v.Verify(t.Context(), token, storage); err != nil || p.Kind != identity.Service || p.Role != identity.Operator {
		t.Errorf("a service, signed by itself: %+v, %v", p, err)
	}
	bad := s.Announcement()
	for name, change := range map[string]func(a *identity.Announcement){
		"half a key": func(a *identity.Announcement) { a.Public = a.Public[:16] },
		"no id":      func(a *identity.Announcement) { a.ID = "" },
		"for ever":   func(a *identity.Announcement) { a.Expires = a.Made.Add(10 * identity.KeyLife) },
		"never":      func(a *identity.Announcement) { a.Expires = a.Made },
	} {
		a := bad
		change(&a)
		if ring.Add(a) == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestRotation(t *testing.T) {
	at := &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	ring := identity.NewKeyring()
	s := signer(t, at, ring, true)
	v := identity.NewVerifier(identity.VerifierOptions{Keys: ring, Now: at.Now})
	before, err := s.Sign(alice(), storage)
	if err != nil {
		t.Fatal(err)
	}
	if due := s.Due().Sub(at.now); due != identity.KeyLife/2 {
		t.Errorf("the next key is due after %v", due)
	}
	next := s.Next()
	if err := ring.Add(next.Announcement); err != nil {
		t.Fatal(err)
	}
	if err := s.Use(next); err != nil {
		t.Fatal(err)
	}
	after, err := s.Sign(alice(), storage)
	if err != nil || after == before {
		t.Fatalf("the new key signs nothing: %v", err)
	}
	for _, token := range []string{before, after} {
		if _, err := v.Verify(t.Context(), token, storage); err != nil {
			t.Error(err)
		}
	}
	at.now = at.now.Add(identity.KeyLife + time.Hour)
	late, err := s.Sign(alice(), storage)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), late, storage); err == nil {
		t.Error("an expired key signs")
	}
}

// TestRefresh: a key that is not known yet is looked for, at most once a second.
func TestRefresh(t *testing.T) {
	at := &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	ring := identity.NewKeyring()
	s := signer(t, at, identity.NewKeyring(), true)
	looked := 0
	v := identity.NewVerifier(identity.VerifierOptions{Keys: ring, Now: at.Now, Refresh: func(_ context.Context, id string) error {
		looked++
		if looked == 2 && id == s.Announcement().ID {
			return ring.Add(s.Announcement())
		}
		return errors.New("not there")
	}})
	token, err := s.Sign(alice(), storage)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := v.Verify(t.Context(), token, storage); err == nil {
			t.Fatal("verified without the key")
		}
	}
	if looked != 1 {
		t.Errorf("looked %d times within a second", looked)
	}
	at.now = at.now.Add(2 * time.Second)
	if _, err := v.Verify(t.Context(), token, storage); err != nil {
		t.Errorf("after the key came: %v", err)
	}
}

func TestExpiryOfTheCredential(t *testing.T) {
	at := &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	ring := identity.NewKeyring()
	s := signer(t, at, ring, true)
	v := identity.NewVerifier(identity.VerifierOptions{Keys: ring, Now: at.Now})
	p := alice()
	p.Expiry = at.now.Add(5 * time.Second)
	token, err := s.Sign(p, storage)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Verify(t.Context(), token, storage); err != nil || !got.Expiry.Equal(p.Expiry) {
		t.Errorf("%+v, %v", got, err)
	}
	at.now = p.Expiry.Add(identity.Skew + 2*time.Second)
	if _, err := v.Verify(t.Context(), token, storage); err == nil {
		t.Error("a token outlived what it was given for")
	}
}

func TestRoles(t *testing.T) {
	key := identity.Principal{Subject: "k", Kind: identity.APIKey, Role: identity.Writer, Scopes: []identity.Scope{
		{Service: "*", Role: identity.Reader}, {Service: storage, Role: identity.Admin},
	}}
	if r := key.RoleAt(storage); r != identity.Writer {
		t.Errorf("a scope gave %v", r)
	}
	if r := key.RoleAt(scheduler); r != identity.Reader {
		t.Errorf("elsewhere %v", r)
	}
	key.Scopes = key.Scopes[1:]
	if r := key.RoleAt(scheduler); r != identity.None {
		t.Errorf("out of scope %v", r)
	}
	for _, word := range identity.Roles() {
		if r, err := identity.ParseRole(word); err != nil || r.String() != word {
			t.Errorf("%s: %v, %v", word, r, err)
		}
	}
	for _, word := range []string{"", "none", "root", "Admin", "admin "} {
		if r, err := identity.ParseRole(word); err == nil || r != identity.None {
			t.Errorf("%q is %v", word, r)
		}
	}
	services := []string{storage, scheduler}
	for text, want := range map[string]string{storage: storage + ":admin", storage + ":reader": storage + ":reader", "*": "*:admin", "*:writer": "*:writer"} {
		if s, err := identity.ParseScope(text, services); err != nil || s.String() != want {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", ":reader", "nobody", storage + ":", storage + ":root", "*:none"} {
		if s, err := identity.ParseScope(text, services); err == nil {
			t.Errorf("%q is %v", text, s)
		}
	}
	var p struct{ R identity.Role }
	if err := json.Unmarshal([]byte(`{"R":"emperor"}`), &p); err == nil {
		t.Error("an unknown role was read")
	}
}

func TestTransport(t *testing.T) {
	at := &clock{time.Now()}
	ring := identity.NewKeyring()
	s := signer(t, at, ring, false, scheduler)
	v := identity.NewVerifier(identity.VerifierOptions{Keys: ring})
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, err := v.Verify(r.Context(), r.Header.Get(identity.Header), storage)
		switch {
		case r.Header.Get(identity.Header) == "":
			seen = append(seen, "nobody")
		case err != nil:
			seen = append(seen, "refused")
		default:
			seen = append(seen, p.String())
		}
	}))
	defer srv.Close()
	answers := "" // what answers there
	client := &http.Client{Transport: &identity.Transport{Signer: s, As: scheduler, Service: func(_ context.Context, host string) (string, bool) {
		return answers, answers != "" && "http://"+host == srv.URL
	}}}
	for _, answers = range []string{"", storage, scheduler} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		if req.Header.Get(identity.Header) != "" {
			t.Error("the caller's request was changed")
		}
	}
	if want := []string{"nobody", "service:" + scheduler, "refused"}; !slices.Equal(seen, want) {
		t.Errorf("got %q, want %q", seen, want)
	}
}

func FuzzVerify(f *testing.F) {
	ring := identity.NewKeyring()
	s, err := identity.NewSigner(identity.SignerOptions{Clients: true})
	if err != nil {
		f.Fatal(err)
	}
	if err := ring.Add(s.Announcement()); err != nil {
		f.Fatal(err)
	}
	v := identity.NewVerifier(identity.VerifierOptions{Keys: ring})
	good, err := s.Sign(alice(), storage)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("mp1...")
	f.Fuzz(func(t *testing.T, token string) {
		if p, err := v.Verify(t.Context(), token, storage); err == nil && token != good {
			t.Errorf("%q is %v", token, p)
		}
	})
}

func BenchmarkVerifyAgain(b *testing.B) {
	ring := identity.NewKeyring()
	s, err := identity.NewSigner(identity.SignerOptions{Clients: true})
	if err != nil {
		b.Fatal(err)
	}
	if err := ring.Add(s.Announcement()); err != nil {
		b.Fatal(err)
	}
	v := identity.NewVerifier(identity.VerifierOptions{Keys: ring})
	for b.Loop() {
		token, err := s.Sign(alice(), storage)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := v.Verify(b.Context(), token, storage); err != nil {
			b.Fatal(err)
		}
	}
}
