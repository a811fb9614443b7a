package access

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/internal/identity"
)

// mirror is the bucket in memory. What it holds is replaced, never changed in place,
// so it can be read after the lock is given back.
type mirror struct {
	mu        sync.RWMutex
	complete  bool
	revisions map[string]uint64 // of every key that was seen, removed ones too
	users     map[string]*User
	sessions  map[string]*session
	keys      map[string]*Key
	used      map[string]used
	signing   map[string]*signing
	byUser    map[string]map[string]bool // ids of sessions
}

func newMirror() *mirror {
	return &mirror{
		revisions: map[string]uint64{}, users: map[string]*User{}, sessions: map[string]*session{}, keys: map[string]*Key{},
		used: map[string]used{}, signing: map[string]*signing{}, byUser: map[string]map[string]bool{},
	}
}

// apply takes over a change, unless a later one is known.
func (m *mirror) apply(c bucket.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.Complete {
		m.complete = true
		return nil
	}
	if c.Revision != 0 && c.Revision <= m.revisions[c.Key] {
		return nil
	}
	if c.Removed {
		m.forget(c.Key)
		delete(m.revisions, c.Key) // a watch tells nothing older after it
		return nil
	}
	if err := m.put(c.Key, c.Value); err != nil {
		return fmt.Errorf("document %s: %w", c.Key, err)
	}
	m.revisions[c.Key] = c.Revision
	return nil
}

func (m *mirror) put(key string, value []byte) error {
	kind, id, _ := strings.Cut(key, ".")
	switch kind + "." {
	case userPrefix:
		u, err := decoded[User](value)
		if err == nil {
			m.users[u.Name] = u
		}
		return err
	case sessionPrefix:
		s, err := decoded[session](value)
		if err == nil {
			m.sessions[id] = s
			if m.byUser[s.User] == nil {
				m.byUser[s.User] = map[string]bool{}
			}
			m.byUser[s.User][id] = true
		}
		return err
	case keyPrefix:
		k, err := decoded[Key](value)
		if err == nil {
			m.keys[id] = k
		}
		return err
	case usedPrefix:
		u, err := decoded[used](value)
		if err == nil {
			m.used[id] = *u
		}
		return err
	case signingPrefix:
		s, err := decoded[signing](value)
		if err == nil {
			m.signing[id] = s
		}
		return err
	}
	return nil // of a later version
}

func decoded[T any](value []byte) (*T, error) {
	v := new(T)
	return v, json.Unmarshal(value, v)
}

func (m *mirror) forget(key string) {
	kind, id, _ := strings.Cut(key, ".")
	switch kind + "." {
	case userPrefix:
		for name := range m.users {
			if userKey(name) == key {
				delete(m.users, name)
			}
		}
	case sessionPrefix:
		if s := m.sessions[id]; s != nil {
			delete(m.byUser[s.User], id)
			if len(m.byUser[s.User]) == 0 {
				delete(m.byUser, s.User)
			}
		}
		delete(m.sessions, id)
	case keyPrefix:
		delete(m.keys, id)
	case usedPrefix:
		delete(m.used, id)
	case signingPrefix:
		delete(m.signing, id)
	}
}

// ready says whether everything was told once.
func (m *mirror) ready() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.complete
}

func (m *mirror) user(name string) *User {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.users[name]
}

func (m *mirror) session(id string) *session {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.sessions[id]
}

// login is a session and its user, at one moment.
func (m *mirror) login(id string) (*session, *User) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.sessions[id]
	if s == nil {
		return nil, nil
	}
	return s, m.users[s.User]
}

func (m *mirror) key(id string) *Key {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.keys[id]
}

func (m *mirror) signingKey(id string) *signing {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.signing[id]
}

// sessionsOf are the logins of a user.
func (m *mirror) sessionsOf(name string) []*session {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var all []*session
	for id := range m.byUser[name] {
		all = append(all, m.sessions[id])
	}
	return all
}

func listed[T any](m *mirror, of map[string]*T) []*T {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make([]*T, 0, len(of))
	for _, v := range of {
		all = append(all, v)
	}
	return all
}

// admins counts those who may administer, but for one.
func (m *mirror) admins(but string) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := 0
	for _, u := range m.users {
		if u.Role == identity.Admin && !u.Disabled && u.Name != but {
			n++
		}
	}
	return n
}
