package connectors

import "slices"

// subscriptionSet is a set that keeps the order in which its members came.
type subscriptionSet struct {
	list []Subscription
	has  map[Subscription]struct{}
}

func (s *subscriptionSet) add(subs []Subscription) {
	if s.has == nil {
		s.has = make(map[Subscription]struct{}, len(subs))
	}
	for _, sub := range subs {
		if _, ok := s.has[sub]; !ok {
			s.has[sub] = struct{}{}
			s.list = append(s.list, sub)
		}
	}
}

func (s *subscriptionSet) remove(subs []Subscription) {
	for _, sub := range subs {
		delete(s.has, sub)
	}
	s.list = slices.DeleteFunc(s.list, func(sub Subscription) bool {
		_, ok := s.has[sub]
		return !ok
	})
}

func (s *subscriptionSet) contains(sub Subscription) bool {
	_, ok := s.has[sub]
	return ok
}

// take empties the set and returns what was in it.
func (s *subscriptionSet) take() []Subscription {
	list := s.list
	*s = subscriptionSet{}
	return list
}
