package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/gateway/access"
	"github.com/marketprism/marketprism/internal/identity"
)

func decode[T any](t *testing.T, d bucket.Document) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(d.Value, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFirstStart(t *testing.T) {
	w := open(t, nil, cheap())
	if len(w.password) < 20 {
		t.Fatalf("the first password is %q", w.password)
	}
	first := w.password
	tokens, err := w.Login(t.Context(), access.FirstUser, first, from)
	if err != nil || tokens.User.Role != identity.Admin || tokens.User.Hash != "" && strings.Contains(tokens.User.Hash, first) {
		t.Fatalf("%+v, %v", tokens.User, err)
	}
	for _, guess := range []string{"admin", "password", "", "marketprism", first + "x", first[1:]} {
		if _, err := w.Login(t.Context(), access.FirstUser, guess, access.Client{Address: guess}); !errors.Is(err, access.ErrCredential) {
			t.Errorf("%q: %v", guess, err)
		}
	}
	other := open(t, nil, cheap())
	if other.password == first {
		t.Error("two installations have one password")
	}
	// It outlives a restart, and no second one is made.
	w.password = ""
	w.start(cheap())
	if w.password != "" {
		t.Error("a restart made another password")
	}
	if p, err := w.who(tokens.Access); err != nil || p.String() != "user:admin" {
		t.Errorf("a token after a restart: %+v, %v", p, err)
	}
	if _, err := w.Login(t.Context(), access.FirstUser, first, from); err != nil {
		t.Errorf("a login after a restart: %v", err)
	}
}

// TestWrongTokens: nothing but a token of ours, as it is, lets somebody in.
func TestWrongTokens(t *testing.T) {
	w := open(t, nil, cheap())
	w.add("alice", identity.Writer)
	tokens := w.login("alice")
	p, err := w.who(tokens.Access)
	if err != nil || p.Subject != "alice" || p.Role != identity.Writer || p.Kind != identity.User {
		t.Fatalf("%+v, %v", p, err)
	}
	kid, secret := w.signingKey()
	now := w.clock.Now()
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{
			"iss": access.Issuer, "aud": access.Audience, "sub": "alice", "sid": p.Session,
			"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		}
		if change != nil {
			change(c)
		}
		return c
	}
	own := func(change func(jwt.MapClaims)) string {
		return sign(t, jwt.SigningMethodHS256, secret, kid, claims(change))
	}
	if _, err := w.who(own(nil)); err != nil {
		t.Fatalf("a token as it should be is refused: %v", err)
	}
	parts := strings.Split(tokens.Access, ".")
	for name, token := range map[string]string{
		"words":           "let me in",
		"dots":            "..",
		"alg none":        sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid, claims(nil)),
		"other algorithm": sign(t, jwt.SigningMethodHS512, secret, kid, claims(nil)),
		"other key":       sign(t, jwt.SigningMethodHS256, []byte("another secret of 32 bytes length"), kid, claims(nil)),
		"empty key":       sign(t, jwt.SigningMethodHS256, []byte{}, kid, claims(nil)),
		"no kid":          sign(t, jwt.SigningMethodHS256, secret, "", claims(nil)),
		"other kid":       sign(t, jwt.SigningMethodHS256, secret, "../etc/passwd", claims(nil)),
		"expired":         own(func(c jwt.MapClaims) { c["exp"] = now.Add(-time.Minute).Unix() }),
		"without end":     own(func(c jwt.MapClaims) { delete(c, "exp") }),
		"not yet":         own(func(c jwt.MapClaims) { c["nbf"] = now.Add(time.Hour).Unix() }),
		"from the future": own(func(c jwt.MapClaims) { c["iat"] = now.Add(time.Hour).Unix() }),
		"other audience":  own(func(c jwt.MapClaims) { c["aud"] = "another" }),
		"no audience":     own(func(c jwt.MapClaims) { delete(c, "aud") }),
		"other issuer":    own(func(c jwt.MapClaims) { c["iss"] = "https://example.com" }),
		"no issuer":       own(func(c jwt.MapClaims) { delete(c, "iss") }),
		"other user":      own(func(c jwt.MapClaims) { c["sub"] = "admin" }),
		"no login":        own(func(c jwt.MapClaims) { delete(c, "sid") }),
		"made-up login":   own(func(c jwt.MapClaims) { c["sid"] = "made-up" }),
		"tampered":        parts[0] + "." + parts[1][:len(parts[1])-2] + "AA." + parts[2],
		"no signature":    parts[0] + "." + parts[1] + ".",
		"refresh token":   tokens.Refresh,
		"very long":       strings.Repeat("a.", 1<<16),
	} {
		if p, err := w.who(token); !errors.Is(err, access.ErrCredential) || p.Subject != "" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if _, err := w.who(""); !errors.Is(err, access.ErrNoCredential) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := w.Authenticate(t.Context(), access.Credential{Token: tokens.Access, APIKey: "mp_x"}); !errors.Is(err, access.ErrCredential) {
		t.Errorf("two credentials: %v", err)
	}
	w.clock.pass(20 * time.Minute)
	if _, err := w.who(tokens.Access); !errors.Is(err, access.ErrCredential) {
		t.Errorf("a token beyond its end, remembered before: %v", err)
	}
}

func TestRefresh(t *testing.T) {
	w := open(t, nil, cheap())
	w.add("alice", identity.Reader)
	first := w.login("alice")
	second, err := w.Refresh(t.Context(), first.Refresh, from)
	if err != nil || second.Refresh == first.Refresh || second.Access == first.Access {
		t.Fatalf("%v", err)
	}
	for name, token := range map[string]string{
		"nothing": "", "words": "mpr_x.y", "access token": first.Access, "changed": second.Refresh[:len(second.Refresh)-2] + "xx",
		"other login": strings.Replace(second.Refresh, "mpr_", "mpr_x", 1),
	} {
		if _, err := w.Refresh(t.Context(), token, from); !errors.Is(err, access.ErrCredential) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.who(second.Access); err != nil {
		t.Fatalf("wrong tokens ended the login: %v", err)
	}
	other := w.login("alice")

	// The first comes again: one of the two copies is stolen.
	if _, err := w.Refresh(t.Context(), first.Refresh, from); !errors.Is(err, access.ErrCredential) {
		t.Errorf("used twice: %v", err)
	}
	for name, token := range map[string]string{"the first": first.Access, "the second": second.Access} {
		if _, err := w.who(token); !errors.Is(err, access.ErrCredential) {
			t.Errorf("%s access token of a stolen login: %v", name, err)
		}
	}
	if _, err := w.Refresh(t.Context(), second.Refresh, from); !errors.Is(err, access.ErrCredential) {
		t.Errorf("the good refresh token of a stolen login: %v", err)
	}
	if _, err := w.who(other.Access); err != nil {
		t.Errorf("another login of the user: %v", err)
	}
	if n := len(w.notes.of("auth.refresh", audit.Refused)); n != 1 {
		t.Errorf("%d audit entries of the reuse", n)
	}
	w.clock.pass(cheap().Tokens.RefreshTTL + time.Minute)
	if _, err := w.Refresh(t.Context(), other.Refresh, from); !errors.Is(err, access.ErrCredential) {
		t.Errorf("too late: %v", err)
	}
}

// TestRefreshRace: of many that use a token at the same time one gets the next, and
// the login ends.
func TestRefreshRace(t *testing.T) {
	w := open(t, nil, cheap())
	w.add("alice", identity.Reader)
	tokens := w.login("alice")
	var renewed atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := w.Refresh(t.Context(), tokens.Refresh, from); err == nil {
				renewed.Add(1)
			} else if !errors.Is(err, access.ErrCredential) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := renewed.Load(); n != 1 {
		t.Errorf("%d were renewed", n)
	}
	if _, err := w.who(tokens.Access); !errors.Is(err, access.ErrCredential) {
		t.Errorf("the login goes on: %v", err)
	}
}

// TestRevocation: what is taken away counts at once, for tokens that were verified
// before too.
func TestRevocation(t *testing.T) {
	yes := true
	writer, next := identity.Writer, "another passphrase"
	for _, tc := range []struct {
		name   string
		revoke func(w *world, t access.Tokens) error
		after  identity.Role // None: refused
	}{
		{"logout", func(w *world, t access.Tokens) error { return w.Logout(w.t.Context(), "", t.Refresh, from) }, identity.None},
		{"disabled", func(w *world, _ access.Tokens) error {
			_, err := w.ChangeUser(w.t.Context(), w.boss, "alice", access.UserChange{Disabled: &yes})
			return err
		}, identity.None},
		{"removed", func(w *world, _ access.Tokens) error { return w.RemoveUser(w.t.Context(), w.boss, "alice") }, identity.None},
		{"another password", func(w *world, _ access.Tokens) error {
			_, err := w.ChangeUser(w.t.Context(), w.boss, "alice", access.UserChange{Password: &next})
			return err
		}, identity.None},
		{"own password", func(w *world, _ access.Tokens) error {
			own := access.Act{By: identity.Principal{Subject: "alice", Kind: identity.User}, From: from}
			if err := w.OwnPassword(w.t.Context(), own, "wrong", next); !errors.Is(err, access.ErrCredential) {
				return fmt.Errorf("with a wrong one: %w", err)
			}
			return w.OwnPassword(w.t.Context(), own, good, next)
		}, identity.None},
		{"another role", func(w *world, _ access.Tokens) error {
			_, err := w.ChangeUser(w.t.Context(), w.boss, "alice", access.UserChange{Role: &writer})
			return err
		}, identity.Writer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := open(t, nil, cheap())
			w.add("alice", identity.Reader)
			tokens := w.login("alice")
			if p, err := w.who(tokens.Access); err != nil || p.Role != identity.Reader {
				t.Fatalf("%+v, %v", p, err)
			}
			w.clock.pass(time.Second)
			if err := tc.revoke(w, tokens); err != nil {
				t.Fatal(err)
			}
			p, err := w.who(tokens.Access)
			if p.Role != tc.after || (err == nil) != (tc.after != identity.None) {
				t.Errorf("%+v, %v", p, err)
			}
			_, err = w.Refresh(t.Context(), tokens.Refresh, from)
			if (err == nil) != (tc.after != identity.None) {
				t.Errorf("renewing: %v", err)
			}
		})
	}
}

// TestTwoGateways: what one changes the other knows.
func TestTwoGateways(t *testing.T) {
	a := open(t, nil, cheap())
	b := open(t, a.store, cheap())
	a.add("alice", identity.Reader)
	tokens := a.login("alice")
	if _, err := b.who(tokens.Access); err != nil {
		t.Fatalf("at the other, at once: %v", err)
	}
	if err := a.Logout(t.Context(), "", tokens.Refresh, from); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := b.who(tokens.Access); errors.Is(err, access.ErrCredential) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the other gateway lets a login in that has ended")
		}
	}
}

func TestAPIKeys(t *testing.T) {
	w := open(t, nil, cheap())
	k, key, err := w.CreateKey(t.Context(), w.boss, access.KeyRequest{
		Name: "feed", Role: identity.Writer, Scopes: []string{services[0], "*:reader"}, TTL: time.Hour,
	})
	if err != nil || !strings.HasPrefix(key, "mp_"+k.ID+"_") || k.Hash != "" {
		t.Fatalf("%+v, %v", k, err)
	}
	docs, err := w.store.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		if strings.Contains(string(d.Value), key[len(key)-20:]) {
			t.Errorf("%s holds the key", d.Key)
		}
	}
	as := func(c access.Credential) (identity.Principal, error) { return w.Authenticate(t.Context(), c) }
	for _, c := range []access.Credential{{APIKey: key}, {Token: key}} {
		p, err := as(c)
		if err != nil || p.Kind != identity.APIKey || p.RoleAt(services[0]) != identity.Writer || p.RoleAt(services[1]) != identity.Reader {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if all := w.Keys(); len(all) != 1 || all[0].Used.IsZero() || all[0].Owner != "user:admin" {
		t.Errorf("%+v", all)
	}
	for name, wrong := range map[string]string{
		"nothing of it": "mp_", "no secret": "mp_" + k.ID, "empty secret": "mp_" + k.ID + "_", "other secret": key[:len(key)-1] + "~",
		"other id": strings.Replace(key, k.ID, "0123456789abcdef", 1), "longer": key + "a", "password": good, "very long": "mp_" + strings.Repeat("a", 1<<16),
	} {
		if _, err := as(access.Credential{APIKey: wrong}); !errors.Is(err, access.ErrCredential) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.clock.pass(2 * time.Hour)
	if _, err := as(access.Credential{APIKey: key}); !errors.Is(err, access.ErrCredential) {
		t.Errorf("expired: %v", err)
	}
	k, key, err = w.CreateKey(t.Context(), w.boss, access.KeyRequest{Name: "again", Role: identity.Reader})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeKey(t.Context(), w.boss, k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := as(access.Credential{APIKey: key}); !errors.Is(err, access.ErrCredential) {
		t.Errorf("revoked: %v", err)
	}
	if err := w.RevokeKey(t.Context(), w.boss, k.ID); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("revoked twice: %v", err)
	}
	var wrong *access.FieldError
	writer := access.Act{By: identity.Principal{Subject: "bob", Kind: identity.User, Role: identity.Writer}}
	for name, r := range map[string]access.KeyRequest{
		"no name": {Role: identity.Reader}, "no role": {Name: "x"}, "a higher role": {Name: "x", Role: identity.Admin},
		"a scope of nothing": {Name: "x", Role: identity.Reader, Scopes: []string{"kitchen"}}, "the past": {Name: "x", Role: identity.Reader, TTL: -1},
	} {
		if _, _, err := w.CreateKey(t.Context(), writer, r); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUsers(t *testing.T) {
	w := open(t, nil, cheap())
	var wrong *access.FieldError
	for name, tc := range map[string]struct {
		user, password string
		role           identity.Role
	}{
		"no name": {"", good, identity.Reader}, "capitals": {"Alice", good, identity.Reader}, "a slash": {"a/b", good, identity.Reader},
		"a dot first": {".a", good, identity.Reader}, "too long": {strings.Repeat("a", 65), good, identity.Reader}, "no role": {"alice", good, identity.None},
		"short": {"alice", "short", identity.Reader}, "own name": {"alice-in-wonderland", "Alice-in-Wonderland", identity.Reader},
		"endless": {"alice", strings.Repeat("a", 2000), identity.Reader}, "not text": {"alice", "\xff\xfe\xfd\xfc\xff\xfe\xfd\xfc\xff\xfe\xfd\xfc", identity.Reader},
	} {
		if _, err := w.AddUser(t.Context(), w.boss, tc.user, tc.password, tc.role); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.add("alice", identity.Reader)
	if _, err := w.AddUser(t.Context(), w.boss, "alice", good, identity.Admin); !errors.Is(err, access.ErrExists) {
		t.Errorf("a second alice: %v", err)
	}
	yes, reader := true, identity.Reader
	for name, c := range map[string]access.UserChange{"disabled": {Disabled: &yes}, "demoted": {Role: &reader}} {
		if _, err := w.ChangeUser(t.Context(), w.boss, access.FirstUser, c); !errors.Is(err, access.ErrLastAdmin) {
			t.Errorf("the last admin is %s: %v", name, err)
		}
	}
	if err := w.RemoveUser(t.Context(), w.boss, access.FirstUser); !errors.Is(err, access.ErrLastAdmin) {
		t.Errorf("the last admin is removed: %v", err)
	}
	w.add("boss", identity.Admin)
	if err := w.RemoveUser(t.Context(), w.boss, access.FirstUser); err != nil {
		t.Error(err)
	}
	if err := w.RemoveUser(t.Context(), w.boss, "nobody"); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("nobody is removed: %v", err)
	}
	for _, u := range w.Users() {
		if u.Hash != "" {
			t.Errorf("%s is listed with a hash", u.Name)
		}
	}
	if n := len(w.notes.of("user.add", audit.Done)); n != 3 { // with the first
		t.Errorf("%d audit entries of users that were made", n)
	}
	for _, e := range w.notes.all {
		if text := fmt.Sprint(e); strings.Contains(text, good) || strings.Contains(text, w.password) {
			t.Errorf("the audit log holds a password: %s", text)
		}
	}
}

func TestThrottle(t *testing.T) {
	w := open(t, nil, cheap())
	w.add("alice", identity.Reader)
	free := cheap().Throttle.PerUserAndAddress
	var throttled *access.ThrottledError
	for i := range free + 1 {
		if _, err := w.Login(t.Context(), "alice", "wrong", from); !errors.Is(err, access.ErrCredential) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	if _, err := w.Login(t.Context(), "alice", good, from); !errors.As(err, &throttled) || throttled.After <= 0 {
		t.Fatalf("after %d guesses: %v", free+1, err)
	}
	if _, err := w.Login(t.Context(), "alice", good, access.Client{Address: "198.51.100.1"}); err != nil {
		t.Errorf("somebody else's guesses keep the user out: %v", err)
	}
	w.clock.pass(2 * time.Second)
	if _, err := w.Login(t.Context(), "alice", good, from); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	for i := range cheap().Throttle.PerAddress + 1 { // names that are not there count as well
		_, err := w.Login(t.Context(), fmt.Sprintf("nobody%d", i), "wrong", access.Client{Address: fmt.Sprintf("2001:db8::%x", i+1)})
		if !errors.Is(err, access.ErrCredential) {
			t.Fatalf("name %d: %v", i, err)
		}
	}
	if _, err := w.Login(t.Context(), "alice", good, access.Client{Address: "2001:db8::ffff"}); !errors.As(err, &throttled) {
		t.Errorf("another address of the same network: %v", err)
	}
}

// TestFlood: of many logins at once a bounded number is hashed, and the rest is told
// to come back; who has a token is not held up.
func TestFlood(t *testing.T) {
	c := cheap()
	c.Password.MemoryKiB, c.Password.Passes, c.Password.Concurrency, c.Password.Waiting = 4<<10, 4, 1, 3
	c.Throttle.PerAddress, c.Throttle.PerUser = 100_000, 100_000
	w := open(t, nil, c)
	w.add("alice", identity.Reader)
	tokens := w.login("alice")
	var busy, refused atomic.Int32
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range 64 {
		all.Go(func() {
			<-begin
			_, err := w.Login(t.Context(), fmt.Sprintf("guess%d", i), "wrong", from)
			switch {
			case errors.Is(err, access.ErrBusy):
				busy.Add(1)
			case errors.Is(err, access.ErrCredential):
				refused.Add(1)
			default:
				t.Errorf("guess %d: %v", i, err)
			}
		})
	}
	close(begin)
	all.Wait()
	if busy.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d were told to come back, %d were refused", busy.Load(), refused.Load())
	}
	if _, err := w.who(tokens.Access); err != nil {
		t.Error(err)
	}
	if _, err := w.Login(t.Context(), "alice", good, from); err != nil {
		t.Errorf("after the flood: %v", err)
	}
}

// TestBrokerAway: who was known is let in; what would change something says so.
func TestBrokerAway(t *testing.T) {
	w := open(t, nil, cheap())
	w.add("alice", identity.Reader)
	tokens := w.login("alice")
	w.store.Break(bucket.ErrUnavailable)
	if _, err := w.who(tokens.Access); err != nil {
		t.Errorf("a token: %v", err)
	}
	if _, err := w.Login(t.Context(), "alice", good, from); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("a login: %v", err)
	}
	if _, err := w.Refresh(t.Context(), tokens.Refresh, from); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("a renewal: %v", err)
	}
	w.store.Break(nil)
	if _, err := w.Refresh(t.Context(), tokens.Refresh, from); err != nil {
		t.Errorf("a renewal once it is back: %v", err)
	}
}

func TestNotReady(t *testing.T) {
	w := open(t, nil, cheap())
	d, err := access.New(access.Options{Config: cheap(), Store: w.store, Audit: w.notes})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate(t.Context(), access.Credential{Token: "x"}); !errors.Is(err, access.ErrNotReady) {
		t.Errorf("a token: %v", err)
	}
	if _, err := d.Login(t.Context(), "admin", w.password, from); !errors.Is(err, access.ErrNotReady) {
		t.Errorf("a login: %v", err)
	}
}

func TestManyLogins(t *testing.T) {
	c := cheap()
	c.Tokens.Sessions = 3
	w := open(t, nil, c)
	w.add("alice", identity.Reader)
	var all []access.Tokens
	for range 5 {
		all = append(all, w.login("alice"))
		w.clock.pass(time.Second)
	}
	for i, tokens := range all {
		if _, err := w.who(tokens.Access); (err == nil) != (i >= 2) {
			t.Errorf("login %d of 5: %v", i, err)
		}
	}
}

func TestPolicy(t *testing.T) {
	for _, tc := range []struct {
		service, method, path string
		want                  identity.Role
	}{
		{"data-storage-service", "GET", "/api/v1/storage/hot/trades/binance/BTC-USDT", identity.Reader},
		{"data-storage-service", "POST", "/api/v1/storage/hot/trades", identity.Writer},
		{"data-storage-service", "POST", "/api/v1/storage/cold/archive", identity.Operator},
		{"data-storage-service", "POST", "/api/v1//storage/lifecycle/cleanup/", identity.Operator},
		{"data-storage-service", "DELETE", "/anything", identity.Operator},
		{"scheduler-service", "POST", "/api/v1/scheduler/tasks", identity.Operator},
		{"scheduler-service", "GET", "/api/v1/scheduler/tasks", identity.Reader},
		{"market-data-collector", "POST", "/api/v1/exchanges/binance/subscribe", identity.Operator},
		{"message-broker-service", "POST", "/api/v1/publish", identity.Writer},
		{"message-broker-service", "POST", "/api/v1/broker/publish/market.x", identity.Writer},
		{"message-broker-service", "DELETE", "/api/v1/broker/streams/X", identity.Operator},
		{"message-broker-service", "POST", "/api/v1/streams/X/consumers/c/fetch", identity.Writer},
		{"message-broker-service", "POST", "/api/v1/dlq/replay", identity.Operator},
		{"message-broker-service", "GET", "/ws/v1/messages", identity.Writer},
		{"market-data-collector", "GET", "/ws/v1/stream", identity.Reader},
		{"monitoring-service", "POST", "/api/v1/query_range", identity.Reader},
		{"monitoring-service", "POST", "/prometheus/api/v1/series", identity.Reader},
		{"monitoring-service", "POST", "/api/v1/prometheus/api/v1/query", identity.Reader},
		{"message-broker-service", "DELETE", "/api/v1/nodes/node-2", identity.Operator},
		{"message-broker-service", "DELETE", "/api/v1/broker/nodes/node-2", identity.Operator},
		{"message-broker-service", "GET", "/api/v1/broker/nodes", identity.Reader},
		{"monitoring-service", "POST", "/api/v1/actors/root/restart", identity.Operator},
		{"monitoring-service", "POST", "/api/v1/silences", identity.Operator},
		{"monitoring-service", "GET", "/api/v1/audit", identity.Admin},
		{"monitoring-service", "GET", "/api/v1/config", identity.Admin},
		{"monitoring-service", "GET", "/API/v1/CONFIG", identity.Admin},
		{"monitoring-service", "GET", "/api/v1/logs", identity.Operator},
		{"api-gateway-service", "POST", "/api/v1/gateway/services", identity.Admin},
		{"api-gateway-service", "GET", "/api/v1/gateway/services", identity.Reader},
		{"api-gateway-service", "GET", "/api/v1/auth/users", identity.Admin},
		{"api-gateway-service", "POST", "/api/v1/auth/apikeys", identity.Admin},
		{"api-gateway-service", "GET", "/api/v1/auth/me", identity.Reader},
		{"api-gateway-service", "POST", "/api/v1/auth/logout", identity.Reader},
		{"api-gateway-service", "GET", "/metrics", identity.Reader},
		{"somebody-else", "GET", "/api/v1/x", identity.Reader},
		{"somebody-else", "PATCH", "/api/v1/x", identity.Writer},
	} {
		if got := access.Required(tc.service, tc.method, tc.path); got != tc.want {
			t.Errorf("%s %s %s: %v, want %v", tc.service, tc.method, tc.path, got, tc.want)
		}
	}
	for _, tc := range []struct {
		method, path string
		want         bool
	}{
		{"GET", "/livez", true}, {"HEAD", "/readyz", true}, {"GET", "/health", true}, {"POST", "/api/v1/auth/login", true},
		{"POST", "/api/v1/auth/refresh", true}, {"GET", "/api/v1/auth/login", false}, {"GET", "/metrics", false}, {"GET", "/api/v1/health", false},
		{"POST", "/health", false}, {"GET", "/livez/", false}, {"POST", "/api/v1/auth/login/../users", false},
	} {
		if got := access.Open(tc.method, tc.path); got != tc.want {
			t.Errorf("%s %s is open: %v", tc.method, tc.path, got)
		}
	}
}

// TestCancelled: a client that left is nobody.
func TestCancelled(t *testing.T) {
	c := cheap()
	c.Password.Concurrency = 1
	w := open(t, nil, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Login(ctx, "admin", w.password, from); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a client that left: %v", err)
	}
}
