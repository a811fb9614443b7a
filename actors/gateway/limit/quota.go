package limit

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Quotas counts requests of clients by day (UTC).
type Quotas struct {
	seed   maphash.Seed
	room   atomic.Int64 // of one shard
	shards [shards]quotaShard
}

type quotaShard struct {
	mu   sync.Mutex
	day  int64 // since the epoch
	used map[string]int64
	_    [32]byte
}

// NewQuotas makes a table for about so many clients.
func NewQuotas(clients int) *Quotas {
	q := &Quotas{seed: maphash.MakeSeed()}
	q.SetClients(clients)
	return q
}

// SetClients changes how many are remembered.
func (q *Quotas) SetClients(n int) { q.room.Store(roomFor(n)) }

const day = 24 * time.Hour

// Take counts one request of a client that may make most of them a day. left is what
// remains, reset when the next day begins. A table that is full begins anew: quotas
// bound honest clients, rates the others.
func (q *Quotas) Take(who string, most int64, now time.Time) (left int64, reset time.Duration, ok bool) {
	s := &q.shards[maphash.String(q.seed, who)%shards]
	today := now.Unix() / int64(day/time.Second)
	reset = time.Unix((today+1)*int64(day/time.Second), 0).Sub(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used == nil || s.day != today {
		s.day, s.used = today, map[string]int64{}
	}
	used, known := s.used[who]
	if used >= most {
		return 0, reset, false
	}
	if !known && int64(len(s.used)) >= q.room.Load() {
		clear(s.used)
	}
	s.used[who] = used + 1
	return most - used - 1, reset, true
}
