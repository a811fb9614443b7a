package cron_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	robfig "github.com/robfig/cron/v3"

	"github.com/marketprism/marketprism/internal/cron"
)

// rule is a schedule as the written rules say it, without a parser and without
// arithmetic: it looks at what the local clock shows, minute by minute.
type rule struct {
	expression string
	match      func(local time.Time) bool // of what the clock shows
	fixed      bool                       // the hours are
}

var rules = []rule{
	{"*/5 * * * *", func(l time.Time) bool { return l.Minute()%5 == 0 }, false},
	{"30 */3 * * *", func(l time.Time) bool { return l.Minute() == 30 && l.Hour()%3 == 0 }, false},
	{"0 * * * 0", func(l time.Time) bool { return l.Minute() == 0 && l.Weekday() == time.Sunday }, false},
	{"15 2 * * *", func(l time.Time) bool { return l.Minute() == 15 && l.Hour() == 2 }, true},
	{"*/20 0-3 * * *", func(l time.Time) bool { return l.Minute()%20 == 0 && l.Hour() <= 3 }, true},
	{"45 0,1,23 * * *", func(l time.Time) bool { return l.Minute() == 45 && (l.Hour() <= 1 || l.Hour() == 23) }, true},
	{"5,50 1 * * SUN", func(l time.Time) bool {
		return (l.Minute() == 5 || l.Minute() == 50) && l.Hour() == 1 && l.Weekday() == time.Sunday
	}, true},
	{"0 0-23 L * *", func(l time.Time) bool { return l.Minute() == 0 && l.AddDate(0, 0, 1).Day() == 1 }, true},
}

// due lists when a rule is due from one time up to another. The minutes before from
// have to be given, for what the clock has shown already.
func (r rule) due(zone *time.Location, before, from, to time.Time) []int64 {
	var due []int64
	shown := map[int64]bool{}
	last := int64(0)
	for t := before; t.Before(to); t = t.Add(time.Minute) {
		local := t.In(zone)
		_, offset := local.Zone()
		wall := t.Unix() + int64(offset)
		is := r.match(local)
		if r.fixed {
			is = is && !shown[wall]
			if last != 0 && wall > last+60 { // a gap ends now
				for left := last + 60; left < wall && !is; left += 60 {
					is = r.match(time.Unix(left, 0).UTC()) && !shown[left]
				}
			}
			shown[wall] = true
			last = wall
		}
		if is && !t.Before(from) {
			due = append(due, t.Unix())
		}
	}
	return due
}

// Every change of every zone's clock from 2020 to 2040.
func TestEveryTransition(t *testing.T) {
	seen := map[string]bool{}
	zones, changes := 0, 0
	for _, name := range zoneNames(t) {
		z := zone(t, name)
		list := transitions(z)
		if key := fmt.Sprint(list); seen[key] {
			continue // another name of the same clock
		} else {
			seen[key] = true
		}
		zones++
		if testing.Short() && len(list) > 4 {
			list = list[:4]
		}
		for _, at := range list {
			changes++
			checkTransition(t, name, z, at.start)
		}
	}
	t.Logf("%d changes of %d clocks, %d rules", changes, zones, len(rules))
	if zones < 50 || changes < 500 && !testing.Short() {
		t.Errorf("%d changes of %d clocks are too few", changes, zones)
	}
}

// around is how long before and after a change schedules are looked at.
const around = 5 * time.Hour

func checkTransition(t *testing.T, name string, z *time.Location, at time.Time) {
	t.Helper()
	from, to := at.Add(-around), at.Add(around)
	for _, r := range rules {
		s := parse(t, r.expression, name)
		want := r.due(z, at.Add(-2*around), from, to)
		var got []int64
		for next := s.Next(from.Add(-time.Second)); next.Before(to); next = s.Next(next) {
			got = append(got, next.Unix())
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s, %s, %s:\n got %v\nwant %v", name, at.In(z), r.expression, got, want)
		}
		// Asked at any minute, the next time is the same.
		i := 0
		for ask := from; ask.Before(to) && i < len(want); ask = ask.Add(7 * time.Minute) {
			for i < len(want) && want[i] <= ask.Unix() {
				i++
			}
			if i < len(want) && s.Next(ask).Unix() != want[i] {
				t.Fatalf("%s, %s, %s, asked at %v: got %v, want %v", name, at.In(z), r.expression, ask.In(z), s.Next(ask), time.Unix(want[i], 0).In(z))
			}
		}
	}
}

type transition struct {
	start  time.Time
	offset int
}

func transitions(z *time.Location) (list []transition) {
	end := time.Date(2041, 1, 1, 0, 0, 0, 0, time.UTC)
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	_, before := at.In(z).Zone()
	for {
		_, next := at.In(z).ZoneBounds()
		if !next.IsZero() && !next.After(at) {
			next = at.Add(time.Hour) // the library's last day of a leap year
		}
		if next.IsZero() || next.After(end) {
			return list
		}
		_, offset := next.In(z).Zone()
		if offset != before { // else the name alone changes
			list = append(list, transition{next.UTC(), offset})
		}
		at, before = next, offset
	}
}

// zoneNames lists the zones of the Go distribution, which are IANA's.
func zoneNames(t *testing.T) (names []string) {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib/time/zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, "/") {
			names = append(names, f.Name)
		}
	}
	if len(names) < 400 {
		t.Fatalf("%d zones", len(names))
	}
	return names
}

// randomExpression is one that both libraries read in the same way: robfig/cron takes
// */n for a restriction of the day, and has neither L, W, # nor n/step in the same
// sense for all fields.
func randomExpression(r *rand.Rand) string {
	term := func(lo, hi int) string {
		a := lo + r.IntN(hi-lo+1)
		b := a + r.IntN(hi-a+1)
		switch r.IntN(4) {
		case 0:
			return strconv.Itoa(a) + "-" + strconv.Itoa(b)
		case 1:
			return strconv.Itoa(a) + "-" + strconv.Itoa(b) + "/" + strconv.Itoa(1+r.IntN(hi/2))
		}
		return strconv.Itoa(a)
	}
	field := func(lo, hi, stars int, steps bool) string {
		switch n := r.IntN(10); {
		case n < stars:
			return "*"
		case n == stars && steps:
			return "*/" + strconv.Itoa(1+r.IntN(hi))
		}
		out := term(lo, hi)
		for range r.IntN(3) {
			out += "," + term(lo, hi)
		}
		return out
	}
	return strings.Join([]string{
		field(0, 59, 2, true), field(0, 59, 3, true), field(0, 23, 4, true), field(1, 31, 6, false), field(1, 12, 7, true), field(0, 6, 6, false),
	}, " ")
}

// A well-known library agrees in UTC, a million times; for a few seconds where a
// change is checked.
func TestLargeAgainstAnotherLibrary(t *testing.T) {
	parser := robfig.NewParser(robfig.Second | robfig.Minute | robfig.Hour | robfig.Dom | robfig.Month | robfig.Dow)
	const all = 1_000_000
	limit := 8 * time.Second
	if os.Getenv("MARKETPRISM_SOAK") != "" {
		limit = time.Hour
	}
	r := rand.New(rand.NewPCG(20, 26))
	begin, n := time.Now(), 0
	for ; n < all && time.Since(begin) < limit; n++ {
		expression := randomExpression(r)
		ours, err := cron.Parse(expression, cron.Options{})
		if err != nil {
			t.Fatalf("%q: %v", expression, err)
		}
		theirs, err := parser.Parse(expression)
		if err != nil {
			t.Fatalf("%q: %v", expression, err)
		}
		at := time.Unix(r.Int64N(4_000_000_000), r.Int64N(1e9)).UTC()
		for range 3 {
			got, want := ours.Next(at), theirs.Next(at)
			if want.IsZero() { // it looks five years ahead
				if !got.IsZero() && got.Year() < at.Year()+5 {
					t.Fatalf("%q after %v: got %v, want none", expression, at, got)
				}
				break
			}
			if !got.Equal(want) {
				t.Fatalf("%q after %v: got %v, want %v", expression, at, got, want)
			}
			at = got
		}
	}
	t.Logf("%d expressions in %v", n, time.Since(begin).Round(time.Millisecond))
	if n < 1000 {
		t.Errorf("%d expressions are too few", n)
	}
}

// Whatever is parsed ends, moves forward, and is said in words.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"*/5 * * * *", "0 0 30 2 *", "* * * * * *", "@every 5s", "@at 2027-01-01", "0 0 L-3,15W,LW * 5#2,1L", "~ ~ ~ ~ ~", "1~5/2 * * * *",
		"0 2 * * *", "@hourly", "60 * * * *", "5/0 * * * *", "- * * * *", "* * */31 2 7", "@every 1d", ", * * * *",
	} {
		f.Add(s, int64(1_770_000_000), uint8(0))
	}
	names := []string{"UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"}
	f.Fuzz(func(t *testing.T, expression string, at int64, z uint8) {
		at %= 1 << 40
		location := zone(t, names[int(z)%len(names)])
		s, err := cron.Parse(expression, cron.Options{Zone: location, Seed: "fuzz"})
		if err != nil {
			fault, ok := err.(*cron.Error) //nolint:errorlint // as Parse documents it
			if !ok || fault.Column < 1 || fault.Column > len(expression)+1 || fault.Problem == "" {
				t.Fatalf("%q: %#v", expression, err)
			}
			return
		}
		if s.Words() == "" {
			t.Fatalf("%q has no words", expression)
		}
		after := time.Unix(at, 0)
		for range 4 {
			next := s.Next(after)
			if next.IsZero() {
				return
			}
			if !next.After(after) {
				t.Fatalf("%q after %v: %v", expression, after, next)
			}
			if between := s.Next(next.Add(-time.Second)); !between.Equal(next) {
				t.Fatalf("%q: %v, and just before it %v", expression, next, between)
			}
			after = next
		}
	})
}
