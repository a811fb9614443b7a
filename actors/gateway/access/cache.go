package access

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/marketprism/marketprism/internal/identity"
)

// verified is what a token says whose signature is right: a login of ours, or somebody
// of an identity provider.
type verified struct {
	user, session string // of ours
	kid           string // of ours: the key that must still be there
	principal     identity.Principal
	expires       time.Time
}

// Bounds of the cache: what is full is emptied, shard by shard.
const (
	cacheShards = 16
	cachePer    = 1024
)

// cache remembers tokens that were verified, by their SHA-256: what is asked again
// costs a hash instead of a signature. Whether the login is still open is asked each
// time.
type cache struct {
	shards [cacheShards]struct {
		mu sync.Mutex
		of map[[sha256.Size]byte]verified
	}
}

func (c *cache) get(sum [sha256.Size]byte, now time.Time) (verified, bool) {
	s := &c.shards[sum[0]%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.of[sum]
	if ok && !now.Before(v.expires) {
		delete(s.of, sum)
		return verified{}, false
	}
	return v, ok
}

func (c *cache) put(sum [sha256.Size]byte, v verified) {
	s := &c.shards[sum[0]%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil || len(s.of) >= cachePer {
		s.of = map[[sha256.Size]byte]verified{}
	}
	s.of[sum] = v
}
