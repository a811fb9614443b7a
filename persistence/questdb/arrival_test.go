package questdb

import (
	"testing"
	"time"
)

// TestArrivals: the age of a row is known to a step, and never too great.
func TestArrivals(t *testing.T) {
	second := int64(time.Second)
	var a arrivals
	for i := range int64(600) { // a message a second
		a.note(i*second, uint64(i+1))
	}
	if n := len(a.list); n > 12 {
		t.Errorf("%d arrivals are kept of ten minutes", n)
	}
	for _, seq := range []uint64{1, 2, 61, 300, 600} {
		arrived := int64(seq-1) * second
		if at, ok := a.of(seq); !ok || at < arrived || at > arrived+int64(arrivalStep) {
			t.Errorf("message %d of second %d arrived at %v, %v", seq, arrived/second, time.Duration(at), ok)
		}
		if got := a.before(arrived); got >= seq {
			t.Errorf("up to %d had arrived before second %d, at which %d came", got, arrived/second, seq)
		}
		if got := a.before(arrived + int64(arrivalStep) + second); got < seq {
			t.Errorf("up to %d had arrived a step after %d", got, seq)
		}
	}
	if _, ok := a.of(601); ok {
		t.Error("it is known when a message arrived that did not")
	}
	// A clock that is set back makes nothing older.
	a.note(5*second, 700)
	if at, ok := a.of(700); !ok || at < 599*second {
		t.Errorf("message 700 arrived at %v, %v", time.Duration(at), ok)
	}
	if a.note(6000*second, 650); a.list[len(a.list)-1].seq != 700 {
		t.Error("a message that is read again has arrived again")
	}
}

// TestArrivalsAreFew: of a long time fewer are kept, in order, and no row becomes older.
func TestArrivalsAreFew(t *testing.T) {
	var a arrivals
	const minutes = 3 * maxArrivals
	for i := range int64(minutes) {
		a.note(i*int64(arrivalStep), uint64(i+1))
		a.kept = len(a.list)
	}
	if n := len(a.list); n > maxArrivals || n < maxArrivals/2 {
		t.Errorf("%d are kept", n)
	}
	if a.kept != len(a.list) {
		t.Errorf("%d of %d are kept by the server", a.kept, len(a.list))
	}
	for seq := uint64(1); seq <= minutes; seq += 97 {
		if at, ok := a.of(seq); !ok || at < int64(seq-1)*int64(arrivalStep) {
			t.Fatalf("message %d arrived at %v, %v", seq, time.Duration(at), ok)
		}
	}
	for i := 1; i < len(a.list); i++ {
		if a.list[i].at <= a.list[i-1].at || a.list[i].seq <= a.list[i-1].seq {
			t.Fatalf("%v after %v", a.list[i], a.list[i-1])
		}
	}
}

func TestPlace(t *testing.T) {
	for _, shard := range []int{0, 3, 12} {
		if id, got := splitPlace(placeWord("0123abcd", shard)); id != "0123abcd" || got != shard {
			t.Errorf("%s, %d", id, got)
		}
	}
	for _, word := range []string{"", "x", "x/", "x/y"} {
		if _, shard := splitPlace(word); shard != -1 {
			t.Errorf("%q is of shard %d", word, shard)
		}
	}
}
