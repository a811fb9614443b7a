package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// KeyLife is how long a key signs; a new one is made when half of it is over.
const KeyLife = 12 * time.Hour

// Announcement is the public half of a process's key, and what it may sign.
type Announcement struct {
	ID     string            `json:"id"` // 32 hex digits
	Public ed25519.PublicKey `json:"public"`
	Node   string            `json:"node"`
	// Services are those that the process runs: it signs for these.
	Services []string `json:"services"`
	// Clients: it signs for clients too, as the gateway does.
	Clients bool      `json:"clients"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
}

// Valid says what is wrong with an announcement.
func (a Announcement) Valid() error {
	if id, err := hex.DecodeString(a.ID); err != nil || len(id) != 16 || len(a.Public) != ed25519.PublicKeySize || !a.Made.Before(a.Expires) || a.Expires.Sub(a.Made) > KeyLife {
		return errors.New("not the announcement of a key")
	}
	return nil
}

// allows says whether the key may sign what a token says.
func (a Announcement) allows(c claims) bool {
	if c.Kind == Service {
		return slices.Contains(a.Services, c.Subject)
	}
	return a.Clients
}

// SignerOptions are what a Signer is made of.
type SignerOptions struct {
	Node     string
	Services []string // that the process runs
	Clients  bool     // the process runs the gateway
	Now      func() time.Time
}

// Signer signs for one process. It is safe for concurrent use.
type Signer struct {
	o   SignerOptions
	mu  sync.Mutex
	key ed25519.PrivateKey
	ann Announcement
	// made are tokens that are still good for half their life, by what they say: a
	// client sends many requests a second.
	made map[string]cached
}

type cached struct {
	token string
	until time.Time
}

// maxMade bounds the tokens that are kept for reuse.
const maxMade = 4096

// NewSigner makes a signer with a fresh key.
func NewSigner(o SignerOptions) (*Signer, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Signer{o: o}
	return s, s.Use(s.Next())
}

// Draft is a key that does not sign yet.
type Draft struct {
	key ed25519.PrivateKey
	// Announcement is to be published before the key is used.
	Announcement Announcement
	err          error
}

// Next makes the next key. It is announced first and then used.
func (s *Signer) Next() Draft {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Draft{err: fmt.Errorf("making a key: %w", err)}
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return Draft{err: fmt.Errorf("making a key: %w", err)}
	}
	now := s.o.Now().UTC().Truncate(time.Second)
	return Draft{key: private, Announcement: Announcement{
		ID: hex.EncodeToString(id[:]), Public: public, Node: s.o.Node, Services: slices.Clone(s.o.Services), Clients: s.o.Clients,
		Made: now, Expires: now.Add(KeyLife),
	}}
}

// Use signs with a key from now on.
func (s *Signer) Use(d Draft) error {
	if d.err != nil {
		return d.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.ann, s.made = d.key, d.Announcement, map[string]cached{}
	return nil
}

// Announcement is that of the key in use.
func (s *Signer) Announcement() Announcement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ann
}

// Due is when the next key is to be made.
func (s *Signer) Due() time.Time {
	a := s.Announcement()
	return a.Made.Add(a.Expires.Sub(a.Made) / 2)
}

// Sign makes a token that says to the service named audience who p is. What the key
// may not sign is an error.
func (s *Signer) Sign(p Principal, audience string) (string, error) {
	now := s.o.Now()
	what := p.String() + "\x00" + p.Role.String() + "\x00" + audience + "\x00" + scopesText(p.Scopes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.made[what]; ok && now.Before(c.until) && (p.Expiry.IsZero() || c.until.Before(p.Expiry)) {
		return c.token, nil
	}
	c := claims{
		Subject: p.Subject, Kind: p.Kind, Role: p.Role, Scopes: p.Scopes, Audience: audience,
		Issued: now.Unix(), Expires: now.Add(Lifetime).Unix(),
	}
	if !p.Expiry.IsZero() {
		c.Ends = p.Expiry.Unix()
		c.Expires = min(c.Expires, c.Ends)
	}
	if !s.ann.allows(c) {
		return "", fmt.Errorf("this process may not sign for %s", p)
	}
	token, err := encode(s.ann.ID, c, s.key)
	if err != nil {
		return "", err
	}
	if len(s.made) >= maxMade {
		clear(s.made)
	}
	s.made[what] = cached{token, now.Add(Lifetime / 2)}
	return token, nil
}

func scopesText(scopes []Scope) string {
	var b strings.Builder
	for _, s := range scopes {
		b.WriteString(s.String())
		b.WriteByte(' ')
	}
	return b.String()
}
