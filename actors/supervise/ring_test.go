package supervise

import "testing"

func TestRingGivesBackWhatItDoesNotNeed(t *testing.T) {
	r := ring{limit: 2048}
	next, due := 0, 0
	round := func(n int) {
		for range n {
			r.push(slot{message: next})
			next++
		}
		for range n {
			if got := r.pop().message; got != due {
				t.Fatalf("got %v, want %d", got, due)
			}
			due++
		}
	}
	round(2000)
	if len(r.slots) != 2048 {
		t.Fatalf("%d slots for 2000", len(r.slots))
	}
	for range ringLook { // while the burst is not forgotten
		round(3)
	}
	if len(r.slots) != 2048 {
		t.Fatalf("%d slots right after a burst", len(r.slots))
	}
	for range ringLook {
		round(3)
	}
	if len(r.slots) > firstRing {
		t.Errorf("%d slots for three at a time", len(r.slots))
	}
	for range 3 * ringLook { // what is needed again and again is kept
		round(600)
	}
	if len(r.slots) != 1024 {
		t.Errorf("%d slots for 600 at a time", len(r.slots))
	}
}
