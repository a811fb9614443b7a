package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/marketprism/marketprism/internal/identity"
)

// asymmetric are the algorithms of identity providers. HS256 is not among them: a
// public key must never be taken for its secret.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Bounds of fetching keys.
const (
	keysTimeout = 5 * time.Second
	keysEvery   = 15 * time.Minute
	keysUnknown = 30 * time.Second // between two fetches for a key that is not known
)

// provider is an identity provider.
type provider struct {
	config OIDCConfig
	keys   keyfunc.Keyfunc
	parser *jwt.Parser
}

// openProvider begins to follow the provider's keys, until ctx ends. One that does not
// answer is asked again later; until then its tokens are refused.
func (d *Desk) openProvider(ctx context.Context, c OIDCConfig) (*provider, error) {
	later := true
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{c.JWKSURL}, keyfunc.Override{
		Client:                    &http.Client{Timeout: keysTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		HTTPTimeout:               keysTimeout,
		NoErrorReturnFirstHTTPReq: &later,
		RefreshInterval:           keysEvery,
		RefreshUnknownKID:         rate.NewLimiter(rate.Every(keysUnknown), 1),
		RateLimitWaitMax:          10 * time.Millisecond,
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(_ context.Context, err error) {
				d.log.Warn("the keys of an identity provider could not be fetched", zap.String("issuer", c.Issuer), zap.Error(err))
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("identity provider %s: %w", c.Issuer, err)
	}
	return &provider{config: c, keys: keys, parser: jwt.NewParser(
		jwt.WithValidMethods(asymmetric), jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(d.o.Now), jwt.WithStrictDecoding(),
	)}, nil
}

// verify checks a token of the provider.
func (p *provider) verify(ctx context.Context, token string) (identity.Principal, error) {
	c := jwt.MapClaims{}
	if _, err := p.parser.ParseWithClaims(token, c, p.keys.KeyfuncCtx(ctx)); err != nil {
		return identity.Principal{}, fmt.Errorf("a token of %s: %w", p.config.Issuer, err)
	}
	subject, ok := c[p.config.Subject].(string)
	if !ok || subject == "" || len(subject) > 128 {
		return identity.Principal{}, fmt.Errorf("a token of %s: no claim %s", p.config.Issuer, p.config.Subject)
	}
	role := p.role(c[p.config.RoleClaim])
	if role == identity.None {
		return identity.Principal{}, errors.New("a token that gives no role")
	}
	expires, err := c.GetExpirationTime()
	if err != nil || expires == nil {
		return identity.Principal{}, errors.New("a token without an end")
	}
	return identity.Principal{Subject: p.config.Issuer + "#" + subject, Kind: identity.User, Role: role, Expiry: expires.Time}, nil
}

// role is the highest that the words of a claim mean.
func (p *provider) role(claim any) identity.Role {
	best, err := identity.ParseRole(p.config.DefaultRole)
	if err != nil {
		best = identity.None
	}
	var words []any
	switch v := claim.(type) {
	case string:
		words = []any{v}
	case []any:
		words = v
	}
	for _, w := range words {
		text, ok := w.(string)
		if !ok {
			continue
		}
		if r, err := identity.ParseRole(p.config.Roles[text]); err == nil {
			best = max(best, r)
		}
	}
	return best
}
