package collector_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tradesOf reads events until so many trades were heard, and returns their ids. What is
// lost it reports.
func (r *reader) tradesOf(n int) (ids []string, lost []heard) {
	r.Helper()
	for len(ids) < n {
		h, ok := r.next()
		switch {
		case !ok:
			r.Fatalf("it ended after %v", ids)
		case h.event == "lost":
			lost = append(lost, h)
		case h.Data.Kind == "trade":
			ids = append(ids, h.Data.ID)
			r.placed = h.eventID
		}
	}
	return ids, lost
}

func numbered(from, n int) (ids []string) {
	for i := range n {
		ids = append(ids, strconv.Itoa(from+i))
	}
	return ids
}

// TestComeBackAtAnyNode: a client follows at one node what two others have, and comes
// back at another one: it is given what it has missed, of each once and in order. Of a
// node that is gone it is told that something is lost, and of the others nothing is.
func TestComeBackAtAnyNode(t *testing.T) {
	ring, at := stages(t, "a", "b", "c", "d")
	b, c := at["b"], at["c"]
	c.trade = 1000
	b.open()
	c.open()
	const query = "?kinds=trade"
	r := at["a"].events(query, "")
	r.until("the answer", func(h heard) bool { return h.Type == "subscribed" && h.Streams == 2 })
	first := b.trade + 1
	b.trades(2, 0)
	c.trades(2, 0)
	had, _ := r.tradesOf(4)
	// Where it is at both nodes may be said only with what follows.
	settle := func() string {
		for strings.Count(r.placed, ".") != 1 {
			b.trades(1, 0)
			more, _ := r.tradesOf(1)
			had = append(had, more...)
		}
		return r.placed
	}
	for where := range strings.SplitSeq("dab", "") {
		settle()
		r.cancel()
		b.trades(3, 0)
		c.trades(2, 0)
		r = at[where].events(query, r.lastID)
		missed, lost := r.tradesOf(5)
		if had = append(had, missed...); len(lost) > 0 {
			t.Fatalf("at %s: %+v is said to be lost", where, lost)
		}
		b.trades(1, 0)
		c.trades(1, 0)
		more, _ := r.tradesOf(2)
		had = append(had, more...)
	}
	id := settle()
	of := func(low bool) (ids []string) {
		for _, id := range had {
			if n, _ := strconv.Atoi(id); (n <= 1000) == low {
				ids = append(ids, id)
			}
		}
		return ids
	}
	if got := of(true); !slices.Equal(got, numbered(int(first), len(got))) || len(got) < 14 {
		t.Errorf("of b it heard %v", got)
	}
	if got := of(false); !slices.Equal(got, numbered(1001, 11)) {
		t.Errorf("of c it heard %v", got)
	}

	// c is gone, and nobody knows what it had.
	r.cancel()
	ring.change(func() { delete(ring.urls, "c") })
	next := b.trade + 1
	b.trades(2, 0)
	r = at["d"].events(query, id)
	r.until("the loss", func(h heard) bool { return h.event == "lost" && len(h.BegunAnew) == 0 })
	b.trades(1, 0)
	if missed, lost := r.tradesOf(3); !slices.Equal(missed, numbered(int(next), 3)) || len(lost) > 0 {
		t.Errorf("after a node was lost it heard %v, and of a loss %+v", missed, lost)
	}

	// Another node begins a stream while the client is away: that begins anew.
	at["d"].trade = 5000
	at["d"].open()
	b.trades(1, 0)
	id = r.lastID
	r.tradesOf(1)
	r.cancel()
	r = at["a"].events(query, id)
	if h := r.until("the loss", func(h heard) bool { return h.event == "lost" }); len(h.BegunAnew) != 1 || !strings.HasPrefix(h.BegunAnew[0], "binance/") {
		t.Errorf("of a stream that began meanwhile it heard %+v", h)
	}
}

// TestHandedOver: a node that stops in order is left out of the ids: whoever comes back
// has lost nothing.
func TestHandedOver(t *testing.T) {
	ring, at := stages(t, "a", "b", "c")
	b, c := at["b"], at["c"]
	b.open()
	const query = "?kinds=trade"
	r := at["a"].events(query, "")
	r.until("the answer", func(h heard) bool { return h.Type == "subscribed" })
	b.trades(1, 0)
	r.tradesOf(1)
	c.trade = 1000
	c.open()
	b.source.Close()
	r.until("the end at b", func(h heard) bool { return h.Data.State == "ended" })
	b.stop()
	ring.change(func() { delete(ring.urls, "b") })
	for atB := r.lastID; r.placed == "" || r.placed == atB || strings.Contains(r.placed, "."); {
		c.trades(1, 0)
		r.tradesOf(1)
	}
	id := r.placed
	r.cancel()
	next := c.trade + 1
	c.trades(1, 0)
	r = at["c"].events(query, id)
	if missed, lost := r.tradesOf(1); len(lost) > 0 || missed[0] != strconv.Itoa(int(next)) {
		t.Errorf("it heard %v, and of a loss %+v", missed, lost)
	}
}
