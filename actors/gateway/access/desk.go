package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/internal/identity"
)

// Recorder is the audit log.
type Recorder interface {
	// Record puts down an entry, and holds nobody up for long.
	Record(ctx context.Context, e audit.Entry)
}

// FirstUser is who the first start makes.
const FirstUser = "admin"

// Options of a Desk.
type Options struct {
	Config Config
	Store  bucket.Store
	Audit  Recorder
	// Services are the names that scopes may have.
	Services []string
	// First is given the password of the user that the first start makes; without it
	// none is made. It is called before that user is there: an error leaves none. No
	// password takes back the one before: another gateway has made the user.
	First func(user, password string) error
	Log   *zap.Logger // nil discards
	// Registerer of the metrics; nil keeps them unexported.
	Registerer prometheus.Registerer
	Now        func() time.Time // nil is time.Now
}

// Desk says who clients are. It is safe for concurrent use.
type Desk struct {
	o        Options
	log      *zap.Logger
	metrics  *metrics
	mirror   *mirror
	hasher   *hasher
	throttle *throttle
	cache    cache

	useMu     sync.Mutex
	uses      map[string]time.Time // of API keys, here
	unwritten map[string]time.Time

	providersMu sync.RWMutex
	providers   map[string]*provider // by issuer, while the actor runs
}

// New makes a desk, whose actor is [Desk.Spec].
func New(o Options) (*Desk, error) {
	if err := errors.Join(o.Config.Validate(), o.Config.Tokens.Validate(), o.Config.Password.Validate(), o.Config.Throttle.Validate()); err != nil {
		return nil, fmt.Errorf("access configuration: %w", err)
	}
	if o.Store == nil || o.Audit == nil {
		return nil, errors.New("access without a bucket or an audit log")
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Desk{
		o: o, log: o.Log, mirror: newMirror(), throttle: newThrottle(o.Config.Throttle, o.Now),
		uses: map[string]time.Time{}, unwritten: map[string]time.Time{}, providers: map[string]*provider{},
	}
	var err error
	if d.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, fmt.Errorf("access metrics: %w", err)
	}
	if d.hasher, err = newHasher(o.Config.Password, d.metrics); err != nil {
		return nil, err
	}
	return d, nil
}

// Credential is what a client shows; at most one of them.
type Credential struct {
	Token  string // an access token, or an API key
	APIKey string
}

// maxCredential bounds what is looked at, in bytes.
const maxCredential = 8 << 10

// Authenticate says whose a credential is. Errors: ErrNoCredential, ErrCredential,
// ErrNotReady.
func (d *Desk) Authenticate(ctx context.Context, c Credential) (identity.Principal, error) {
	if strings.HasPrefix(c.Token, apiKeyPrefix) && c.APIKey == "" {
		c.Token, c.APIKey = "", c.Token
	}
	kind := "token"
	var p identity.Principal
	var err error
	switch {
	case c.Token == "" && c.APIKey == "":
		kind, err = "none", ErrNoCredential
	case !d.mirror.ready():
		err = ErrNotReady
	case len(c.Token) > maxCredential || c.Token != "" && c.APIKey != "":
		err = ErrCredential
	case c.APIKey != "":
		kind = "apikey"
		p, err = d.verifyKey(c.APIKey)
	default:
		p, err = d.verifyToken(ctx, c.Token)
	}
	d.count(kind, err)
	return p, err
}

// verifyToken finds whose an access token is.
func (d *Desk) verifyToken(ctx context.Context, token string) (identity.Principal, error) {
	now := d.o.Now()
	sum := sha256.Sum256([]byte(token))
	v, ok := d.cache.get(sum, now)
	if ok {
		d.metrics.hit.Inc()
	} else {
		d.metrics.miss.Inc()
		var err error
		if v, err = d.verify(ctx, token); err != nil {
			d.log.Debug("a token is refused", errField(err))
			return identity.Principal{}, ErrCredential
		}
		d.cache.put(sum, v)
	}
	if v.session == "" {
		return v.principal, nil
	}
	return d.admitLogin(ctx, v, now)
}

func (d *Desk) verify(ctx context.Context, token string) (verified, error) {
	issuer, err := issuerOf(token)
	if err != nil {
		return verified{}, err
	}
	if issuer == Issuer {
		c, kid, err := d.verifyOwn(token)
		if err != nil {
			return verified{}, err
		}
		return verified{user: c.Subject, session: c.Session, kid: kid, expires: c.ExpiresAt.Time}, nil
	}
	d.providersMu.RLock()
	p := d.providers[issuer]
	d.providersMu.RUnlock()
	if p == nil {
		return verified{}, errIssuer
	}
	who, err := p.verify(ctx, token)
	return verified{principal: who, expires: who.Expiry}, err
}

// admitLogin says whether the login of a verified token is still open, as it is now.
func (d *Desk) admitLogin(ctx context.Context, v verified, now time.Time) (identity.Principal, error) {
	s, u := d.mirror.login(v.session)
	if s == nil {
		// Another gateway has just made it: the signature is right.
		d.fetch(ctx, sessionPrefix+v.session)
		s, u = d.mirror.login(v.session)
	}
	if s != nil && s.Ended == "" && u == nil { // and the user too
		d.fetch(ctx, userKey(s.User))
		s, u = d.mirror.login(v.session)
	}
	if !good(s, u, now) || s.User != v.user || d.mirror.signingKey(v.kid) == nil {
		return identity.Principal{}, ErrCredential
	}
	return identity.Principal{Subject: u.Name, Kind: identity.User, Role: u.Role, Expiry: v.expires, Session: s.ID}, nil
}

// Still says whether who was let in is still good, and with what role: a login that has
// not ended, of a user that is not disabled; a key that is neither revoked nor over; a
// token of an identity provider until its end. The end of an access token does not
// count: its login can be renewed.
func (d *Desk) Still(p identity.Principal) (identity.Principal, bool) {
	now := d.o.Now()
	switch {
	case p.Kind == identity.APIKey:
		k := d.mirror.key(p.Subject)
		if k == nil || !k.Expires.IsZero() && !now.Before(k.Expires) {
			return identity.Principal{}, false
		}
	case p.Session != "":
		s, u := d.mirror.login(p.Session)
		if !good(s, u, now) {
			return identity.Principal{}, false
		}
		p.Role = u.Role
	case p.Kind == identity.User && !now.Before(p.Expiry):
		return identity.Principal{}, false
	}
	return p, true
}

// fetch reads a document that the watch has not told of yet.
func (d *Desk) fetch(ctx context.Context, key string) {
	doc, there, err := d.o.Store.Get(ctx, key)
	if err == nil && there {
		err = d.mirror.apply(bucket.Change{Document: doc})
	}
	if err != nil {
		d.log.Warn("a login could not be looked up", errField(err))
	}
}

// count counts what became of a credential.
func (d *Desk) count(kind string, err error) {
	outcome := "unavailable"
	var throttled *ThrottledError
	switch {
	case err == nil:
		outcome = "accepted"
	case errors.Is(err, ErrNoCredential), errors.Is(err, ErrCredential):
		outcome = "refused"
	case errors.As(err, &throttled), errors.Is(err, ErrBusy):
		outcome = "throttled"
	}
	d.metrics.attempts.WithLabelValues(kind, outcome).Inc()
}

// Forbidden counts a request whose role did not suffice.
func (d *Desk) Forbidden(p identity.Principal) {
	d.metrics.attempts.WithLabelValues(string(p.Kind), "forbidden").Inc()
}

// record puts down an entry although the client may have left.
func (d *Desk) record(ctx context.Context, e audit.Entry) {
	d.o.Audit.Record(context.WithoutCancel(ctx), e)
}

func errField(err error) zap.Field     { return zap.Error(err) }
func userField(name string) zap.Field  { return zap.String("user", name) }
func sessionField(id string) zap.Field { return zap.String("session", id) }
