package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// maxPassword bounds a password, in bytes.
const maxPassword = 1024

const (
	saltBytes = 16
	hashBytes = 32
)

// checkPassword applies the policy: length counts, and nothing else but that it must
// not be the name (NIST SP 800-63B, 5.1.1.2).
func (c PasswordConfig) checkPassword(name, password string) error {
	switch n := utf8.RuneCountInString(password); {
	case n < c.MinLength:
		return field("password", "must have at least %d characters", c.MinLength)
	case len(password) > maxPassword:
		return field("password", "must have at most %d bytes", maxPassword)
	case !utf8.ValidString(password):
		return field("password", "must be UTF-8")
	case strings.EqualFold(password, name):
		return field("password", "must not be the user's name")
	}
	return nil
}

// hasher hashes so many passwords at once, and lets so many wait.
type hasher struct {
	config  PasswordConfig
	turns   chan struct{}
	waiting atomic.Int64
	metrics *metrics
	// nobody is the hash that a name which is not known is compared with.
	nobody string
}

func newHasher(c PasswordConfig, m *metrics) (*hasher, error) {
	h := &hasher{config: c, turns: make(chan struct{}, c.Concurrency), metrics: m}
	salt, err := random(saltBytes)
	if err != nil {
		return nil, err
	}
	// Its hash need not be one of any password: it has only to take as long.
	h.nobody = h.encode(salt, make([]byte, hashBytes))
	return h, nil
}

func (h *hasher) encode(salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, h.config.MemoryKiB, h.config.Passes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// turn waits for a turn to hash. Errors: ErrBusy, or that of ctx.
func (h *hasher) turn(ctx context.Context) (done func(), err error) {
	if n := h.waiting.Add(1); n > int64(h.config.Waiting+h.config.Concurrency) {
		h.waiting.Add(-1)
		return nil, ErrBusy
	}
	h.metrics.waiting.Set(float64(h.waiting.Load()))
	begin := time.Now()
	leave := func() { h.metrics.waiting.Set(float64(h.waiting.Add(-1))) }
	select {
	case h.turns <- struct{}{}:
		return func() {
			<-h.turns
			leave()
			h.metrics.hashing.Observe(time.Since(begin).Seconds())
		}, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("waiting to hash a password: %w", context.Cause(ctx))
	}
}

// hash makes the hash that is kept.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt, err := random(saltBytes)
	if err != nil {
		return "", err
	}
	return h.encode(salt, argon2.IDKey([]byte(password), salt, h.config.Passes, h.config.MemoryKiB, 1, hashBytes)), nil
}

// matches says whether a password is that of a hash; "" is that of nobody, which takes
// as long. stale: the cost of the hash is not the configured one any more.
func (h *hasher) matches(ctx context.Context, password, encoded string) (ok, stale bool, err error) {
	done, err := h.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	known := encoded != ""
	if !known {
		encoded = h.nobody
	}
	p, err := parseHash(encoded)
	if err != nil {
		return false, false, err
	}
	if len(password) > maxPassword {
		password, known = password[:maxPassword], false
	}
	sum := argon2.IDKey([]byte(password), p.salt, p.passes, p.memory, p.lanes, uint32(len(p.sum)))
	same := subtle.ConstantTimeCompare(sum, p.sum) == 1
	return same && known, p.memory != h.config.MemoryKiB || p.passes != h.config.Passes, nil
}

type argonHash struct {
	memory, passes uint32
	lanes          uint8
	salt, sum      []byte
}

var errHash = errors.New("not an Argon2id hash of a cost that is allowed")

// parseHash reads $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func parseHash(encoded string) (argonHash, error) {
	var h argonHash
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.lanes); err != nil {
		return h, errHash
	}
	var errSalt, errSum error
	h.salt, errSalt = base64.RawStdEncoding.DecodeString(parts[4])
	h.sum, errSum = base64.RawStdEncoding.DecodeString(parts[5])
	if errSalt != nil || errSum != nil || len(h.salt) < 8 || len(h.sum) < 16 || len(h.sum) > 64 ||
		h.memory < 8 || h.memory > 1<<20 || h.passes < 1 || h.passes > 64 || h.lanes < 1 {
		return h, errHash
	}
	return h, nil
}

func random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	return b, nil
}

// word makes a random word of n bytes in base64url.
func word(n int) (string, error) {
	b, err := random(n)
	return base64.RawURLEncoding.EncodeToString(b), err
}
