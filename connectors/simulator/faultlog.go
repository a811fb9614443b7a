package simulator

import (
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
)

// faultsKept bounds the faults that are remembered; older ones are counted only.
const faultsKept = 100_000

// faultLog is the rates in force and the faults injected. It is safe for
// concurrent use.
type faultLog struct {
	log   *zap.Logger
	rates atomic.Pointer[Faults]

	mu    sync.Mutex
	total int64
	count [numFaults]int64
	ring  []Injected // of the last faults, N at (N-1) % faultsKept
}

// add remembers a fault and gives it its number.
func (l *faultLog) add(f Injected) int64 {
	l.mu.Lock()
	l.total++
	l.count[f.Fault]++
	f.N = l.total
	if at := int((f.N - 1) % faultsKept); at < len(l.ring) {
		l.ring[at] = f
	} else {
		l.ring = append(l.ring, f)
	}
	l.mu.Unlock()
	if e := l.log.Check(zap.DebugLevel, "fault injected"); e != nil {
		e.Write(zap.Stringer("fault", f.Fault), zap.String("exchange", f.Exchange), zap.String("topic", f.Topic), zap.Int64("conn", f.Conn),
			zap.Int64("first_seq", f.FirstSeq), zap.Int64("last_seq", f.LastSeq))
	}
	return f.N
}

// extend changes a fault that goes on.
func (l *faultLog) extend(n int64, change func(*Injected)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n > 0 && n > l.total-faultsKept {
		change(&l.ring[(n-1)%faultsKept])
	}
}

// FaultQuery selects faults; a zero field selects all.
type FaultQuery struct {
	Exchange, Market, Symbol, Channel string
	Fault                             string
	// After is the number of the last fault that is known already.
	After int64
	// Limit is how many are given at most; 0 is all that are remembered.
	Limit int
}

// Faults lists faults that were injected, oldest first. The last 100,000 are
// remembered.
func (s *Server) Faults(q FaultQuery) []Injected {
	l := &s.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Injected
	for n := max(q.After, l.total-faultsKept) + 1; n <= l.total; n++ {
		f := &l.ring[(n-1)%faultsKept]
		if q.takes(f) {
			out = append(out, *f)
			if q.Limit > 0 && len(out) == q.Limit {
				break
			}
		}
	}
	return out
}

func (q *FaultQuery) takes(f *Injected) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return is(q.Exchange, f.Exchange) && is(q.Market, f.Market) && is(q.Symbol, f.Symbol) && is(q.Channel, f.Channel) &&
		is(q.Fault, f.Fault.String())
}

// FaultCounts is how many faults were injected, by their words.
func (s *Server) FaultCounts() map[string]int64 {
	l := &s.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := map[string]int64{}
	for f, n := range l.count {
		if n > 0 {
			counts[Fault(f).String()] = n
		}
	}
	return counts
}

// FaultRates are those in force.
func (s *Server) FaultRates() Faults { return *s.faults.rates.Load() }

// SetFaults changes the rates from now on.
func (s *Server) SetFaults(f Faults) error {
	if err := f.Validate(); err != nil {
		return err
	}
	s.faults.rates.Store(&f)
	return nil
}
