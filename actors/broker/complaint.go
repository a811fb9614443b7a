package broker

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// complainEvery is the time between two complaints about the same.
const complainEvery = 30 * time.Second

// complaints tell the log, once and again from time to time, why connections to the
// broker do not come about: there are many, they try on for ever, and all meet the same.
// It is safe for concurrent use.
type complaints struct {
	mu   sync.Mutex
	text string
	at   time.Time
}

// due says whether a complaint is to be told now.
func (c *complaints) due(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text == c.text && time.Since(c.at) < complainEvery {
		return false
	}
	c.text, c.at = text, time.Now()
	return true
}

// complain logs why a connection does not come about. At an embedded server that is not
// running there is nothing to say: its actor does.
func (h *Handle) complain(connection string, as login, err error) {
	if errors.Is(err, ErrNotRunning) || !h.complaints.due(err.Error()) {
		return
	}
	fields := []zap.Field{zap.String("connection", connection), zap.String("url", redacted(h.cfg.URL)), zap.Error(err)}
	if !refused(err) {
		h.log.Warn("the broker cannot be reached, and is tried again", fields...)
		return
	}
	h.log.Warn("the broker refuses this user and password, and is tried again: they have to be those that its server knows",
		append(fields, zap.String("user", as.username), zap.String("settings", "message-broker-service.nats: username, password, services"))...)
}

// refused reports whether a server does not let a connection in.
func refused(err error) bool {
	for _, no := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// redacted are addresses without passwords.
func redacted(list string) string {
	parts := strings.Split(list, ",")
	for i, part := range parts {
		if u, err := url.Parse(strings.TrimSpace(part)); err == nil {
			parts[i] = u.Redacted()
		}
	}
	return strings.Join(parts, ",")
}
