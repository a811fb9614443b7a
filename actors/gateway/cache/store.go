package cache

import (
	"container/list"
	"net/http"
	"sync"
	"time"
)

// Key is what an answer is an answer to.
type Key struct {
	Who     string // kind and name of who asked; their address where nobody is known
	Service string
	Target  string // path and query
	// Accept and Encoding are what the client takes.
	Accept, Encoding string
}

func (k *Key) size() int64 {
	return int64(len(k.Who) + len(k.Service) + len(k.Target) + len(k.Accept) + len(k.Encoding))
}

// Answer is an answer of status 200. It is not changed once it is kept.
type Answer struct {
	Header http.Header
	Body   []byte
	ETag   string
	Stored time.Time

	key     Key
	expires time.Time
	size    int64
}

// Store keeps answers.
type Store struct {
	mu      sync.Mutex
	most    int64
	used    int64
	entries map[Key]*list.Element
	recent  *list.List // of *Answer, the one asked for last in front
	hits    uint64
	misses  uint64
	evicted uint64
}

// New makes an empty store of most bytes.
func New(most int64) *Store {
	return &Store{most: most, entries: map[Key]*list.Element{}, recent: list.New()}
}

// overhead is what an answer takes beside its text.
const overhead = 512

// Get returns an answer that is fresh.
func (s *Store) Get(k Key, now time.Time) (*Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[k]
	if !ok {
		s.misses++
		return nil, false
	}
	a := e.Value.(*Answer)
	if !now.Before(a.expires) {
		s.remove(e)
		s.misses++
		return nil, false
	}
	s.recent.MoveToFront(e)
	s.hits++
	return a, true
}

// Put keeps an answer for a while.
func (s *Store) Put(k Key, a *Answer, ttl time.Duration, now time.Time) {
	a.key, a.expires, a.Stored = k, now.Add(ttl), now
	a.size = int64(len(a.Body)) + k.size() + overhead
	for name, values := range a.Header {
		a.size += int64(len(name))
		for _, v := range values {
			a.size += int64(len(v))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.size > s.most {
		return
	}
	if e, ok := s.entries[k]; ok {
		s.remove(e)
	}
	s.used += a.size
	s.entries[k] = s.recent.PushFront(a)
	s.shrink()
}

func (s *Store) shrink() {
	for s.used > s.most {
		s.remove(s.recent.Back())
		s.evicted++
	}
}

func (s *Store) remove(e *list.Element) {
	a := s.recent.Remove(e).(*Answer)
	delete(s.entries, a.key)
	s.used -= a.size
}

// SetMost changes the bound.
func (s *Store) SetMost(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = n
	s.shrink()
}

// Clear forgets everything.
func (s *Store) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.entries)
	s.recent.Init()
	s.used = 0
}

// Figures are what a store has done.
type Figures struct {
	Entries               int
	Bytes, MaxBytes       int64
	Hits, Misses, Evicted uint64
}

// Figures says what the store has done.
func (s *Store) Figures() Figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Figures{len(s.entries), s.used, s.most, s.hits, s.misses, s.evicted}
}

// Drop forgets the answers of one service, because something there was changed.
func (s *Store) Drop(service string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range s.entries {
		if k.Service == service {
			s.remove(e)
		}
	}
}
