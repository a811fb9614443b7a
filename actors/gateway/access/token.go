package access

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Issuer and Audience are those of the tokens of our own.
const (
	Issuer   = "marketprism"
	Audience = "marketprism"
)

// leeway is how far the clock of whoever made a token may be off.
const leeway = 10 * time.Second

// accessClaims are what an access token says. The role is not in it.
type accessClaims struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
	Renewal uint32 `json:"rnw"`
}

// issue makes an access token of a session.
func (d *Desk) issue(s *session, now time.Time) (token string, expires time.Time, err error) {
	key := d.signingKey(now)
	if key == nil {
		return "", time.Time{}, ErrNotReady
	}
	expires = now.Add(d.o.Config.Tokens.AccessTTL)
	if s.Expires.Before(expires) {
		expires = s.Expires
	}
	id, err := word(12)
	if err != nil {
		return "", time.Time{}, err
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Issuer, Audience: jwt.ClaimStrings{Audience}, Subject: s.User, ID: id,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
		},
		Session: s.ID, Renewal: s.Renewal,
	})
	t.Header["kid"] = key.ID
	token, err = t.SignedString(key.Secret)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("signing an access token: %w", err)
	}
	return token, expires, nil
}

// settled is the age at which a key signs where there is another: until then every
// gateway has heard of it.
const settled = 10 * time.Second

// signingKey is the newest that every gateway knows, else the newest; nil when there
// is none.
func (d *Desk) signingKey(now time.Time) *signing {
	var best *signing
	for _, k := range listed(d.mirror, d.mirror.signing) {
		if now.Before(k.Expires) && (best == nil || better(k, best, now)) {
			best = k
		}
	}
	return best
}

func better(a, b *signing, now time.Time) bool {
	known := now.Add(-settled)
	if old := !a.Made.After(known); old != !b.Made.After(known) {
		return old
	}
	return a.Made.After(b.Made) || a.Made.Equal(b.Made) && a.ID < b.ID
}

var errIssuer = errors.New("of no issuer that is known")

// issuerOf reads who a token says it is from; nothing of it is believed yet.
func issuerOf(token string) (string, error) {
	var c jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(token, &c); err != nil {
		return "", fmt.Errorf("not a token: %w", err)
	}
	return c.Issuer, nil
}

// verifyOwn checks an access token of our own: HS256, a key of ours, our audience.
func (d *Desk) verifyOwn(token string) (c *accessClaims, kid string, err error) {
	c = &accessClaims{}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(Issuer), jwt.WithAudience(Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(d.o.Now), jwt.WithStrictDecoding(),
	)
	_, err = parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		kid, _ = t.Header["kid"].(string) // without one there is no such key
		key := d.mirror.signingKey(kid)
		if key == nil || !d.o.Now().Before(key.Expires.Add(leeway)) {
			return nil, errors.New("signed with no key of ours")
		}
		return key.Secret, nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("an access token: %w", err)
	}
	if c.Session == "" || c.Subject == "" {
		return nil, "", errors.New("an access token without a login")
	}
	return c, kid, nil
}

// encoding of refresh tokens.
var encoding = base64.RawURLEncoding.Strict()
