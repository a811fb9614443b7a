package placement

import (
	"cmp"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

func hashOf(id string) uint64 { return xxhash.Sum64String(id) }

// rank is a seat's for a stream: of all seats each has the highest with a probability
// that is proportional to its weight. (Weighted rendezvous hashing: -w/ln(u), u being
// uniform in (0,1); https://www.snia.org/sites/default/files/SDC15_presentations/dist_sys/Jason_Resch_New_Consistent_Hashings_Rev.pdf)
func (w *work) rank(stream, at int) float64 {
	h := mix(w.hashes[stream] ^ w.seats[at].hash*0x9e3779b97f4a7c15)
	u := (float64(h>>11) + .5) / (1 << 53)
	return -w.seats[at].Weight / math.Log(u)
}

// mix spreads every bit over all.
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// fits reports whether a seat can have a stream, and the limits of its address have
// room. Within an address a stream takes its slots along.
func (w *work) fits(stream, at int) bool {
	s, g := &w.seats[at], w.group[stream]
	if s.can != nil && !s.can[g] {
		return false
	}
	limit, slots := w.limits[g], w.streams[stream].Slots
	if from := w.owner[stream]; limit < 0 || from >= 0 && w.seats[from].at == s.at {
		return true
	}
	return s.slots[g]+slots <= limit
}

// give makes a seat the owner; the one before loses the stream.
func (w *work) give(stream, at int) {
	w.take(stream)
	s := &w.seats[at]
	s.load += w.streams[stream].Cost
	s.slots[w.group[stream]] += w.streams[stream].Slots
	w.owner[stream] = at
}

func (w *work) take(stream int) {
	if w.owner[stream] < 0 {
		return
	}
	s := &w.seats[w.owner[stream]]
	s.load -= w.streams[stream].Cost
	s.slots[w.group[stream]] -= w.streams[stream].Slots
	w.owner[stream] = -1
}

// pinned reports whether a stream is where it is to stay.
func (w *work) pinned(stream int) bool {
	pin, at := w.streams[stream].Pin, w.owner[stream]
	return pin != "" && at >= 0 && w.seats[at].ID == pin
}

// keep puts streams where they are pinned to, and leaves the others where they are.
func (w *work) keep(before Plan) {
	stay := func(i int, node string) {
		if at, ok := w.seatOf[node]; ok && w.owner[i] < 0 && !w.seats[at].Draining && w.fits(i, at) {
			w.give(i, at)
		}
	}
	for i := range w.streams {
		stay(i, w.streams[i].Pin)
	}
	for i := range w.streams {
		stay(i, before.Owners[w.streams[i].ID])
	}
}

// welcome gives new seats what they rank first for, but takes from no seat below what
// balance would give back.
func (w *work) welcome(before Plan) {
	if len(before.Owners) == 0 || !slices.ContainsFunc(w.seats, func(s seat) bool { return s.fresh }) {
		return
	}
	for i := range w.streams {
		if w.owner[i] < 0 || w.pinned(i) {
			continue
		}
		best := w.best(i, func(at int) bool { return w.seats[at].can == nil || w.seats[at].can[w.group[i]] })
		cost, from := w.streams[i].Cost, &w.seats[w.owner[i]]
		if s := &w.seats[best]; s.fresh && w.fits(i, best) && s.load+cost <= s.share && (from.Draining || from.load-cost >= w.floor(from)) {
			w.give(i, best)
		}
	}
}

// best is the open seat with the highest rank among those that may; -1 when none may.
func (w *work) best(stream int, may func(at int) bool) int {
	best, highest := -1, 0.0
	for at := range w.seats {
		if w.seats[at].Draining || !may(at) {
			continue
		}
		if r := w.rank(stream, at); best < 0 || r > highest {
			best, highest = at, r
		}
	}
	return best
}

// floor and ceiling are the least and the most that balance leaves a seat.
func (w *work) floor(s *seat) float64   { return s.share * (1 - w.o.Tolerance/2) }
func (w *work) ceiling(s *seat) float64 { return s.share * (1 + w.o.Tolerance/2) }

// house finds seats for the streams that have none, the costly ones first. A seat takes
// no more than its part of what is placed so far: were it filled to its share at once, one
// that gets costly streams would get none of the many cheap ones.
func (w *work) house() {
	var homeless []int
	placed, total := 0.0, 0.0
	for i, at := range w.owner {
		total += w.streams[i].Cost
		if at < 0 {
			homeless = append(homeless, i)
		} else {
			placed += w.streams[i].Cost
		}
	}
	slices.SortStableFunc(homeless, func(a, b int) int { return cmp.Compare(w.streams[b].Cost, w.streams[a].Cost) })
	for _, i := range homeless {
		cost := w.streams[i].Cost
		part := (placed + cost) / total
		at := w.best(i, func(at int) bool { return w.fits(i, at) && w.seats[at].load+cost <= w.seats[at].share*part })
		if at < 0 {
			at = w.emptiest(i, cost)
		}
		if at >= 0 {
			w.give(i, at)
			placed += cost
		}
	}
}

// emptiest is the seat that a stream fills least beyond its share; -1 when the limits
// of none have room.
func (w *work) emptiest(stream int, cost float64) int {
	best, least := -1, 0.0
	for at := range w.seats {
		s := &w.seats[at]
		if s.Draining || !w.fits(stream, at) {
			continue
		}
		if full := (s.load + cost) / s.share; best < 0 || full < least {
			best, least = at, full
		}
	}
	return best
}

// balance moves streams from seats that have too much to those that have too little,
// once one is beyond the tolerance, until all are within half of it.
func (w *work) balance() {
	even := true
	for i := range w.seats {
		if s := &w.seats[i]; !s.Draining && math.Abs(s.load-s.share) > w.o.Tolerance*s.share {
			even = false
		}
	}
	if even {
		return
	}
	for at := range w.seats {
		w.unload(at)
	}
	for at := range w.seats {
		w.fill(at)
	}
}

// offer is a stream and how gladly it goes: the ratio of two ranks.
type offer struct {
	stream int
	glad   float64
}

func byGladness(a, b offer) int {
	return cmp.Or(cmp.Compare(b.glad, a.glad), cmp.Compare(a.stream, b.stream))
}

// unload gives away what a seat has beyond its share.
func (w *work) unload(at int) {
	s := &w.seats[at]
	if s.Draining || s.load <= w.ceiling(s) {
		return
	}
	var offers []offer
	for i, o := range w.owner {
		if o == at && !w.pinned(i) {
			next := w.best(i, func(n int) bool { return n != at })
			if next < 0 {
				return
			}
			offers = append(offers, offer{i, w.rank(i, next) / w.rank(i, at)})
		}
	}
	slices.SortFunc(offers, byGladness)
	for _, o := range offers {
		if s.load <= w.ceiling(s) {
			return
		}
		cost := w.streams[o.stream].Cost
		to := w.best(o.stream, func(n int) bool {
			return n != at && w.fits(o.stream, n) && w.seats[n].load+cost <= w.ceiling(&w.seats[n])
		})
		if to >= 0 {
			w.give(o.stream, to)
		}
	}
}

// fill brings a seat up to its share, from those that have more than theirs.
func (w *work) fill(at int) {
	s := &w.seats[at]
	if s.Draining || s.load >= w.floor(s) {
		return
	}
	var offers []offer
	for i, o := range w.owner {
		if o >= 0 && o != at && !w.pinned(i) {
			offers = append(offers, offer{i, w.rank(i, at) / w.rank(i, o)})
		}
	}
	slices.SortFunc(offers, byGladness)
	for _, o := range offers {
		if s.load >= w.floor(s) {
			return
		}
		cost, from := w.streams[o.stream].Cost, &w.seats[w.owner[o.stream]]
		if from.load-cost >= w.floor(from) && s.load+cost <= w.ceiling(s) && w.fits(o.stream, at) {
			w.give(o.stream, at)
		}
	}
}
