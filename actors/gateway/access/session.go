package access

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/audit"
)

// Tokens are what a login gives.
type Tokens struct {
	Access string
	// Expires is when Access ends, Renewable until when Refresh works.
	Expires, Renewable time.Time
	// Refresh works once.
	Refresh string
	User    User
}

// Why a login is over.
const (
	endedLogout   = "logout"
	endedReuse    = "reuse"
	endedPassword = "password"
	endedUser     = "user"
	endedTooMany  = "too_many"
)

// Client is where a request comes from; for the audit log, and to slow down who
// guesses.
type Client struct {
	Address            string // without port
	RequestID, TraceID string
}

// entry begins an audit entry of somebody at the gateway.
func (c Client) entry(who, action, target string) audit.Entry {
	return audit.Entry{
		Principal: who, Action: action, Target: target, Outcome: audit.Done,
		Address: c.Address, RequestID: c.RequestID, TraceID: c.TraceID,
	}
}

// Login opens a session. Errors: ErrCredential, *ThrottledError, ErrBusy, ErrNotReady,
// bucket.ErrUnavailable.
func (d *Desk) Login(ctx context.Context, name, password string, from Client) (Tokens, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	t, err := d.login(ctx, name, password, from)
	d.count("password", err)
	entry := from.entry("user:"+name, "auth.login", "")
	switch {
	case err == nil:
		entry.Role = t.User.Role.String()
		d.record(ctx, entry)
	case errors.Is(err, ErrCredential):
		entry.Outcome = audit.Refused
		d.record(ctx, entry)
	}
	return t, err
}

func (d *Desk) login(ctx context.Context, name, password string, from Client) (Tokens, error) {
	if !d.mirror.ready() {
		return Tokens{}, ErrNotReady
	}
	if len(name) > maxUserName {
		name = name[:maxUserName]
	}
	if wait := d.throttle.wait(name, from.Address); wait > 0 {
		return Tokens{}, &ThrottledError{wait}
	}
	d.throttle.begin(name, from.Address)
	user := d.mirror.user(name)
	hash := ""
	if user != nil {
		hash = user.Hash
	}
	ok, stale, err := d.hasher.matches(ctx, password, hash)
	if err != nil {
		d.throttle.unjudged(name, from.Address)
		return Tokens{}, err
	}
	if !ok || user == nil || user.Disabled {
		return Tokens{}, ErrCredential
	}
	d.throttle.succeeded(name, from.Address)
	if stale {
		d.rehash(ctx, user, password)
	}
	return d.open(ctx, user, from)
}

// rehash hashes a password at the cost that is configured now. It is tried again at
// the next login.
func (d *Desk) rehash(ctx context.Context, u *User, password string) {
	hash, err := d.hasher.hash(ctx, password)
	if err != nil {
		return
	}
	_, err = change(ctx, d, userKey(u.Name), func(now *User) (*User, error) {
		if now == nil || now.Hash != u.Hash {
			return nil, ErrUnknown
		}
		next := *now
		next.Hash = hash
		return &next, nil
	})
	if err != nil && !errors.Is(err, ErrUnknown) {
		d.log.Warn("a password could not be hashed anew", errField(err))
	}
}

func (d *Desk) open(ctx context.Context, u *User, from Client) (Tokens, error) {
	id, err := word(16)
	if err != nil {
		return Tokens{}, err
	}
	secret, err := random(32)
	if err != nil {
		return Tokens{}, err
	}
	now := d.o.Now().UTC()
	s := &session{
		ID: id, User: u.Name, Secret: secret, Renewal: 1, Created: now, Renewed: now,
		Expires: now.Add(d.o.Config.Tokens.SessionTTL), Address: from.Address,
	}
	if err := d.write(ctx, sessionPrefix+id, s, 0); err != nil {
		return Tokens{}, err
	}
	if err := d.trim(ctx, u.Name); err != nil {
		d.log.Warn("old logins could not be ended", errField(err))
	}
	return d.tokens(s, u, now)
}

// trim ends the oldest logins of a user beyond those that it may have.
func (d *Desk) trim(ctx context.Context, name string) error {
	open := slices.DeleteFunc(d.mirror.sessionsOf(name), func(s *session) bool { return s.Ended != "" })
	if len(open) <= d.o.Config.Tokens.Sessions {
		return nil
	}
	slices.SortFunc(open, func(a, b *session) int { return cmp.Compare(a.Renewed.UnixNano(), b.Renewed.UnixNano()) })
	var errs []error
	for _, s := range open[:len(open)-d.o.Config.Tokens.Sessions] {
		errs = append(errs, d.end(ctx, s.ID, endedTooMany))
	}
	return errors.Join(errs...)
}

func (d *Desk) tokens(s *session, u *User, now time.Time) (Tokens, error) {
	access, expires, err := d.issue(s, now)
	if err != nil {
		return Tokens{}, err
	}
	renewable := now.Add(d.o.Config.Tokens.RefreshTTL)
	if s.Expires.Before(renewable) {
		renewable = s.Expires
	}
	return Tokens{Access: access, Expires: expires, Refresh: refreshToken(s), Renewable: renewable, User: *u}, nil
}

// A refresh token is mpr_<session>.<renewal><MAC>, the last two together in base64url:
// 4 bytes, big endian, and HMAC-SHA256 of the session's id and them, by its secret.
const refreshPrefix = "mpr_"

func refreshToken(s *session) string {
	body := binary.BigEndian.AppendUint32(nil, s.Renewal)
	return refreshPrefix + s.ID + "." + base64.RawURLEncoding.EncodeToString(append(body, refreshMAC(s, s.Renewal)...))
}

func refreshMAC(s *session, renewal uint32) []byte {
	mac := hmac.New(sha256.New, s.Secret)
	mac.Write([]byte(s.ID))
	mac.Write(binary.BigEndian.AppendUint32(nil, renewal))
	return mac.Sum(nil)
}

// readRefresh finds the session of a refresh token, and which renewal it is.
func (d *Desk) readRefresh(token string) (s *session, renewal uint32, err error) {
	rest, ok := strings.CutPrefix(token, refreshPrefix)
	id, body, found := strings.Cut(rest, ".")
	raw, decodeErr := encoding.DecodeString(body)
	if !ok || !found || decodeErr != nil || len(raw) != 4+sha256.Size {
		return nil, 0, ErrCredential
	}
	if s = d.mirror.session(id); s == nil {
		return nil, 0, ErrCredential
	}
	renewal = binary.BigEndian.Uint32(raw)
	if !hmac.Equal(raw[4:], refreshMAC(s, renewal)) {
		return nil, 0, ErrCredential
	}
	return s, renewal, nil
}

// Refresh renews a login: the token is used up, and another takes its place. One that
// was used before ends the login. Errors: ErrCredential, ErrNotReady,
// bucket.ErrUnavailable.
func (d *Desk) Refresh(ctx context.Context, token string, from Client) (Tokens, error) {
	t, err := d.refresh(ctx, token, from)
	d.count("refresh", err)
	return t, err
}

func (d *Desk) refresh(ctx context.Context, token string, from Client) (Tokens, error) {
	if !d.mirror.ready() {
		return Tokens{}, ErrNotReady
	}
	s, renewal, err := d.readRefresh(token)
	if err != nil {
		return Tokens{}, err
	}
	now := d.o.Now().UTC()
	var user *User
	next, err := change(ctx, d, sessionPrefix+s.ID, func(s *session) (*session, error) {
		switch user = nil; {
		case s == nil, s.Ended != "", !now.Before(s.Expires), now.Sub(s.Renewed) > d.o.Config.Tokens.RefreshTTL:
			return nil, ErrCredential
		case renewal != s.Renewal:
			next := *s
			next.Ended = endedReuse
			return &next, nil
		}
		if user = d.mirror.user(s.User); user == nil || user.Disabled || s.Created.Before(user.Changed) {
			return nil, ErrCredential
		}
		next := *s
		next.Renewal, next.Renewed, next.Address = s.Renewal+1, now, from.Address
		return &next, nil
	})
	if err != nil {
		return Tokens{}, err
	}
	if user == nil {
		d.log.Warn("a refresh token was used twice; its login has ended", userField(next.User), sessionField(next.ID))
		entry := from.entry("user:"+next.User, "auth.refresh", "session "+next.ID)
		entry.Outcome, entry.Detail = audit.Refused, "the refresh token was used before; the login has ended"
		d.record(ctx, entry)
		return Tokens{}, ErrCredential
	}
	return d.tokens(next, user, now)
}

// Logout ends the login of a session id, or of a refresh token.
func (d *Desk) Logout(ctx context.Context, sessionID, refresh string, from Client) error {
	if refresh != "" {
		s, _, err := d.readRefresh(refresh)
		if err != nil {
			return err
		}
		sessionID = s.ID
	}
	s := d.mirror.session(sessionID)
	if s == nil {
		return ErrUnknown
	}
	if err := d.end(ctx, sessionID, endedLogout); err != nil {
		return err
	}
	d.record(ctx, from.entry("user:"+s.User, "auth.logout", "session "+sessionID))
	return nil
}

// end ends a session; one that is not there, or over, is no error.
func (d *Desk) end(ctx context.Context, id, why string) error {
	_, err := change(ctx, d, sessionPrefix+id, func(s *session) (*session, error) {
		if s == nil || s.Ended != "" {
			return nil, ErrUnknown
		}
		next := *s
		next.Ended = why
		return &next, nil
	})
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	return err
}

// endAll ends the logins of a user.
func (d *Desk) endAll(ctx context.Context, name, why string) error {
	var errs []error
	for _, s := range d.mirror.sessionsOf(name) {
		if s.Ended == "" {
			errs = append(errs, d.end(ctx, s.ID, why))
		}
	}
	return errors.Join(errs...)
}

// good says whether a session and its user are good at a moment.
func good(s *session, u *User, now time.Time) bool {
	return s != nil && u != nil && s.Ended == "" && !u.Disabled && now.Before(s.Expires) && !s.Created.Before(u.Changed)
}

// sweep removes sessions that are over and forgotten by every client, and signing keys
// that signed nothing that is still good.
func (d *Desk) sweep(ctx context.Context, now time.Time) error {
	var errs []error
	for _, s := range listed(d.mirror, d.mirror.sessions) {
		over := s.Expires
		if renewable := s.Renewed.Add(d.o.Config.Tokens.RefreshTTL); renewable.Before(over) {
			over = renewable
		}
		if now.After(over.Add(d.o.Config.Tokens.AccessTTL)) {
			errs = append(errs, d.remove(ctx, sessionPrefix+s.ID))
		}
	}
	for _, k := range listed(d.mirror, d.mirror.signing) {
		if now.After(k.Expires.Add(time.Minute)) {
			errs = append(errs, d.remove(ctx, signingPrefix+k.ID))
		}
	}
	return errors.Join(errs...)
}

// rotate makes the next signing key when it is due. Of two gateways that make one at
// the same time both keys sign.
func (d *Desk) rotate(ctx context.Context, now time.Time) error {
	ttl := d.o.Config.Tokens.KeyTTL
	for _, k := range listed(d.mirror, d.mirror.signing) {
		if now.Before(k.Made.Add(ttl)) {
			return nil
		}
	}
	id, err := word(9)
	if err != nil {
		return err
	}
	secret, err := random(32)
	if err != nil {
		return err
	}
	now = now.UTC()
	k := &signing{ID: id, Secret: secret, Made: now, Expires: now.Add(2*ttl + d.o.Config.Tokens.AccessTTL)}
	if err := d.write(ctx, signingPrefix+id, k, 0); err != nil {
		return fmt.Errorf("making a signing key: %w", err)
	}
	return nil
}
