package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// session is a login that is renewed as long as it is used.
type session struct {
	c    *Client
	turn chan struct{} // who holds it reads and changes the tokens

	access, refresh        string
	accessEnds, refreshEnd time.Time
}

// renewBefore is how long before its end a token is renewed.
const renewBefore = 15 * time.Second

// token is a good access token. One goroutine at a time logs in; the others wait for it.
func (s *session) token(ctx context.Context) (string, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	now := time.Now()
	if s.access != "" && now.Before(s.accessEnds) {
		return s.access, nil
	}
	if s.refresh != "" && now.Before(s.refreshEnd) {
		token := s.refresh
		s.refresh = "" // it works once
		login, err := s.c.Gateway.Refresh(ctx, token)
		if err == nil {
			return s.take(login, now), nil
		}
		if StatusOf(err) != http.StatusUnauthorized {
			var said *Error
			if !errors.As(err, &said) { // whether it was used is not known
				return "", err
			}
			s.refresh = token
			return "", err
		}
	}
	login, err := s.c.Gateway.Login(ctx, s.c.cfg.Username, s.c.cfg.Password)
	if err != nil {
		return "", err
	}
	return s.take(login, now), nil
}

func (s *session) take(login Login, now time.Time) string {
	s.access, s.accessEnds = login.AccessToken, now.Add(lasting(login.ExpiresIn))
	s.refresh, s.refreshEnd = login.RefreshToken, now.Add(lasting(login.RefreshExpiresIn))
	return s.access
}

// lasting is how long a token of so many seconds is used.
func lasting(seconds float64) time.Duration {
	d := time.Duration(seconds * float64(time.Second))
	return d - min(renewBefore, d/2)
}

// forget forgets an access token that was refused, unless it is another one by now.
func (s *session) forget(access string) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.access == access {
		s.access = ""
	}
}
