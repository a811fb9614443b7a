package placement

// shareRounds is how often shares are corrected: by then they are within a thousandth of
// what they come to.
const shareRounds = 60

// shares reckons what each open seat deserves: of all costs what its weight is of all
// weights, and where not all seats can have every group, as near to that as what each
// can have allows. Costs of a group are split over the seats that can have it in
// proportion to factors, which are corrected until the sums are right, or do not change
// any more.
func (w *work) shares() {
	total, weights := 0.0, 0.0
	alike := true
	for _, c := range w.costs {
		total += c
	}
	for i := range w.seats {
		if s := &w.seats[i]; !s.Draining {
			weights += s.Weight
			alike = alike && s.can == nil
		}
	}
	factors := make([]float64, len(w.seats))
	for i := range w.seats {
		if s := &w.seats[i]; !s.Draining {
			s.share, factors[i] = total*s.Weight/weights, s.Weight
		}
	}
	if alike {
		return
	}
	deserved := make([]float64, len(w.seats))
	for i := range w.seats {
		deserved[i] = w.seats[i].share
	}
	for range shareRounds {
		w.split(factors)
		highest := 0.0
		for i := range w.seats {
			if s := &w.seats[i]; s.share > 0 {
				factors[i] *= deserved[i] / s.share
				highest = max(highest, factors[i])
			}
		}
		for i := range factors { // whoever can never have enough would grow without end
			factors[i] /= highest
		}
	}
	w.split(factors)
}

// split makes shares of the factors.
func (w *work) split(factors []float64) {
	for i := range w.seats {
		w.seats[i].share = 0
	}
	for g, cost := range w.costs {
		able := func(i int) bool { return !w.seats[i].Draining && (w.seats[i].can == nil || w.seats[i].can[g]) }
		sum := 0.0
		for i := range w.seats {
			if able(i) {
				sum += factors[i]
			}
		}
		for i := range w.seats {
			if able(i) && sum > 0 {
				w.seats[i].share += cost * factors[i] / sum
			}
		}
	}
}
