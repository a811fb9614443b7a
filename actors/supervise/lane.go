package supervise

// lane is an unbounded first-in first-out queue. Only lifecycle and what an actor
// itself has begun travel on lanes.
type lane struct {
	buf  []any
	head int
	n    int
}

func (l *lane) push(message any) {
	if l.n == len(l.buf) {
		grown := make([]any, max(4, 2*len(l.buf)))
		for i := range l.n {
			grown[i] = l.buf[(l.head+i)%len(l.buf)]
		}
		l.buf, l.head = grown, 0
	}
	l.buf[(l.head+l.n)%len(l.buf)] = message
	l.n++
}

// pop must not be called on an empty lane.
func (l *lane) pop() any {
	message := l.buf[l.head]
	l.buf[l.head] = nil
	l.head = (l.head + 1) % len(l.buf)
	l.n--
	return message
}

// slot is a message in a ring and, for one in 64, when it was put there.
type slot struct {
	message any
	at      int64 // nanoseconds of System.nanos; 0 when not sampled
}

// ring is a bounded first-in first-out queue that grows up to its limit, and gives
// back what it has not needed for a while.
type ring struct {
	slots []slot
	limit int
	head  int
	n     int

	peak    int // most at once, and
	emptied int // how often it was empty, since it last gave back or looked
}

const (
	firstRing = 8
	// A ring of more than keptRing slots that has been empty ringLook times gives them
	// back when a quarter would have done.
	keptRing = 64
	ringLook = 256
)

func (r *ring) full() bool { return r.n == r.limit }

// push must not be called on a full ring.
func (r *ring) push(s slot) {
	if r.n == len(r.slots) {
		grown := make([]slot, min(r.limit, max(firstRing, 2*len(r.slots))))
		first := copy(grown, r.slots[r.head:])
		copy(grown[first:], r.slots[:r.head])
		r.slots, r.head = grown, 0
	}
	i := r.head + r.n
	if i >= len(r.slots) {
		i -= len(r.slots)
	}
	r.slots[i] = s
	r.n++
	if r.n > r.peak {
		r.peak = r.n
	}
}

// pop must not be called on an empty ring.
func (r *ring) pop() slot {
	s := r.slots[r.head]
	r.slots[r.head] = slot{}
	r.head++
	if r.head == len(r.slots) {
		r.head = 0
	}
	r.n--
	if r.n == 0 && len(r.slots) > keptRing {
		r.look()
	}
	return s
}

// look gives the slots of an empty ring back, where they are too many.
func (r *ring) look() {
	if r.emptied++; r.emptied < ringLook {
		return
	}
	if r.peak <= len(r.slots)/4 {
		r.slots, r.head = nil, 0
	}
	r.peak, r.emptied = 0, 0
}

// oldest is the first sampled time in the ring, or 0.
func (r *ring) oldest() int64 {
	for i := range min(r.n, sampleEvery) {
		if at := r.slots[(r.head+i)%len(r.slots)].at; at != 0 {
			return at
		}
	}
	return 0
}
