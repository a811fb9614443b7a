package connectorstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
)

// Likeness compares what the simulation sends with what the exchange sent when it
// was recorded: in every kind of frame and answer the same members, with values of
// the same types. other says where the exchange has changed since the recordings,
// or where they hold something that the simulation has no use for: by kind and
// member, such as "trade .data.M", or "trade -" for all members of a kind that are
// left out. What it names and is alike is an error too.
func Likeness(t *testing.T, s Subject, other map[string]string) {
	used := map[string]bool{}
	recorded := map[market.Market]shapes{}
	for _, c := range s.Captures {
		t.Run("capture/"+c.Path, func(t *testing.T) {
			if recorded[c.Market] == nil {
				recorded[c.Market] = shapes{}
			}
			recorded[c.Market].read(t, s.Venue(t, c.Market), Open(t, c.Path))
		})
	}
	if len(recorded) == 0 {
		t.Skip("NOT TESTED: no recorded traffic")
	}
	for m, want := range recorded {
		t.Run(m.String(), func(t *testing.T) {
			for _, d := range want.differences(simulatedShapes(t, s, m)) {
				kind, _, _ := strings.Cut(d.name, " ")
				switch {
				case other[d.name] != "":
					used[d.name] = true
				case d.missing && other[kind+" -"] != "":
					used[kind+" -"] = true
				default:
					t.Errorf("%s: %s", d.name, d.text)
				}
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(other)) {
		if !used[name] && !t.Failed() {
			t.Errorf("%q is alike after all", name)
		}
	}
}

// shapes are the members of every kind of frame and answer.
type shapes map[string]*shape

type shape struct {
	frames int
	// members counts, by path and type, the frames that have it.
	members map[string]map[string]int
}

// add takes one frame's or answer's members.
func (s shapes) add(kind string, body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	seen := map[[2]string]bool{}
	walk(v, "", seen)
	sh := s[kind]
	if sh == nil {
		sh = &shape{members: map[string]map[string]int{}}
		s[kind] = sh
	}
	sh.frames++
	for m := range seen {
		if sh.members[m[0]] == nil {
			sh.members[m[0]] = map[string]int{}
		}
		sh.members[m[0]][m[1]]++
	}
	return nil
}

func walk(v any, path string, seen map[[2]string]bool) {
	kind := "null"
	switch v := v.(type) {
	case map[string]any:
		kind = "object"
		for k, inner := range v {
			walk(inner, path+"."+k, seen)
		}
	case []any:
		kind = "array"
		for _, inner := range v {
			walk(inner, path+"[]", seen)
		}
	case json.Number:
		kind = "number"
	case bool:
		kind = "bool"
	case string:
		kind = "text"
		if _, err := market.ParseDecimal([]byte(v)); err == nil {
			kind = "digits"
		}
	}
	seen[[2]string{path, kind}] = true
}

// always reports whether every frame has a member.
func (s *shape) always(path string) bool {
	n := 0
	for _, frames := range s.members[path] {
		n = max(n, frames)
	}
	return n == s.frames
}

// difference is a member that is not alike.
type difference struct {
	name, text string
	missing    bool
}

// differences are what is not alike in the simulated shapes; what was not
// simulated, or not recorded, is not compared.
func (s shapes) differences(simulated shapes) (list []difference) {
	for _, kind := range slices.Sorted(maps.Keys(s)) {
		want, have := s[kind], simulated[kind]
		if have == nil {
			continue
		}
		for _, path := range slices.Sorted(maps.Keys(have.members)) {
			for _, as := range slices.Sorted(maps.Keys(have.members[path])) {
				switch {
				case want.members[path] == nil:
					list = append(list, difference{name: kind + " " + path, text: "was never recorded"})
				case want.members[path][as] == 0:
					list = append(list, difference{name: kind + " " + path, text: fmt.Sprintf("is %s, recorded as %v", as, want.members[path])})
				}
			}
		}
		for _, path := range slices.Sorted(maps.Keys(want.members)) {
			if want.always(path) && !have.always(path) {
				list = append(list, difference{kind + " " + path, "is missing", true})
			}
		}
	}
	return list
}

// enough is how many frames of a kind are looked at.
const enough = 2000

// read takes in recorded traffic.
func (s shapes) read(t *testing.T, v *connectors.Venue, file io.ReadCloser) {
	t.Helper()
	defer file.Close()
	r, err := connectors.NewCaptureReader(file)
	if err != nil {
		t.Fatal(err)
	}
	look := newLooker(t, v, s)
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, connectors.ErrTruncated) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		look.take(rec)
	}
}

// looker tells kinds of frames and answers apart, by the exchange's own decoder.
type looker struct {
	t       *testing.T
	v       *connectors.Venue
	decoder connectors.Decoder
	table   *market.Instruments
	batch   market.Batch
	shapes  shapes
}

func newLooker(t *testing.T, v *connectors.Venue, s shapes) *looker {
	table := v.Builtin()
	return &looker{t: t, v: v, decoder: v.NewDecoder(table), table: table, shapes: s}
}

func (l *looker) take(rec *connectors.CaptureRecord) {
	kind := ""
	switch rec.Dir {
	case connectors.CaptureIn:
		l.batch.Reset()
		note, err := l.decoder.Decode(rec.Body, connectors.Receipt{}, &l.batch)
		if err != nil || note.Channel < 0 {
			return // answers to whoever recorded it, and what is no frame of this market
		}
		kind = l.v.Channels[note.Channel].Name
		for d := range market.Rows[market.BookDelta](&l.batch) {
			if d.IsSnapshot {
				kind += "/snapshot"
			}
		}
	case connectors.CaptureHTTP:
		u, err := url.Parse(rec.URL)
		if err != nil {
			l.t.Fatal(err)
		}
		req, ok := l.v.REST.Recognise(u, l.table)
		if !ok {
			return
		}
		kind = "call/" + req.Kind.String()
		if req.Kind == connectors.NeedPoll {
			kind = "call/" + l.v.Channels[req.Channel].Name
		}
	default:
		return
	}
	if sh := l.shapes[kind]; sh != nil && sh.frames >= enough {
		return
	}
	if err := l.shapes.add(kind, rec.Body); err != nil {
		l.t.Errorf("%s: %v", kind, err)
	}
}

// simulatedShapes collects a simulated market for a while.
func simulatedShapes(t *testing.T, s Subject, m market.Market) shapes {
	cfg := s.Exchange.DefaultConfig().Markets[m.String()]
	server, cfg := Simulate(t, s, m, cfg, simulator.Options{Seed: 11, Rate: 500, Symbols: simulatedSymbols})
	v, err := s.Exchange.Venue(m, cfg)
	if err != nil {
		t.Fatal(err)
	}
	out := shapes{}
	look := newLooker(t, v, out)
	f := follow(t, server, v, cfg, look.take)
	kinds, err := cfg.Kinds()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := f.Wait(ctx, func() string { return f.missing(kinds) }); err != nil {
		t.Error(err)
	}
	for _, i := range f.table.All()[:1] {
		for _, need := range []connectors.Need{
			{Kind: connectors.NeedSnapshot, Instrument: i}, {Kind: connectors.NeedRecentTrades, Instrument: i},
			{Kind: connectors.NeedTradesFrom, Instrument: i, FromID: 1},
		} {
			req, err := v.REST.Request(need)
			if err != nil {
				continue // the exchange has no such call
			}
			if _, err := f.client.Do(ctx, req); err != nil {
				t.Error(err)
			}
		}
	}
	f.Stop()
	return out
}
