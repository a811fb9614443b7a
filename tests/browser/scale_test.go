package browser

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/browser/forest"
)

// crowd is what pages with very much to show were.
type crowd struct {
	Console []string     `json:"console"`
	Pages   []crowdedOne `json:"pages"`
}

// crowdedOne is one page of them.
type crowdedOne struct {
	Path   string `json:"path"`
	Usable int    `json:"usable_ms"`
	Paint  int    `json:"paint_ms"`
	Scroll struct {
		Height int      `json:"height"` // pixels
		Steps  int      `json:"steps"`
		Blank  []string `json:"blank"`
		Nodes  int      `json:"nodes"` // most that there were
	} `json:"scroll"`
	Says    string `json:"says"` // how many there are
	Rows    int    `json:"rows"` // that its table says it has
	Palette struct {
		Places int `json:"places"` // it found
		Asked  int `json:"asked"`  // questions
		Bytes  int `json:"bytes"`  // of their answers, unpacked
	} `json:"palette"`
	Trace *traced `json:"trace"`
	Heap  int     `json:"heap"` // bytes, after a collection
	Nodes int     `json:"nodes"`
}

// traced is what a page's main thread did, in ms of the processor.
type traced struct {
	Frames spread  `json:"frames"` // in which something was applied
	Other  spread  `json:"other"`
	Long   int     `json:"long"` // tasks of more than 50 ms
	Busy   float64 `json:"busy"`
}

type spread struct {
	Count         int     `json:"count"`
	P50, P95, Max float64 `json:"-"`
}

// UnmarshalJSON reads what the walk wrote.
func (s *spread) UnmarshalJSON(text []byte) error {
	var of struct {
		Count int     `json:"count"`
		P50   float64 `json:"p50"`
		P95   float64 `json:"p95"`
		Max   float64 `json:"max"`
	}
	err := json.Unmarshal(text, &of)
	*s = spread{of.Count, of.P50, of.P95, of.Max}
	return err
}

// look opens pages that have very much to show; for so many seconds their updates are traced.
func look(t *testing.T, at string, seconds int, paths ...string) crowd {
	t.Helper()
	node, chromium, modules := tools(t)
	var out, said bytes.Buffer
	c := exec.CommandContext(t.Context(), node, append([]string{"scale.mjs", modules, at, chromium, strconv.Itoa(seconds)}, paths...)...)
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("looking: %v\n%s", err, said.String())
	}
	var all crowd
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatalf("it said %q: %v", out.String(), err)
	}
	for _, line := range all.Console {
		if strings.Contains(line, "/cluster?owners=false") {
			continue // a forest is in no cluster
		}
		if strings.Contains(line, "/collector/quality?") && strings.HasPrefix(paths[0], "/actors") {
			continue // nor has it a collector, which the palette asks
		}
		t.Errorf("error: %s", line)
	}
	if len(all.Pages) != len(paths) {
		t.Fatalf("%d of %d pages", len(all.Pages), len(paths))
	}
	return all
}

// What a page of 20,000 actors or 5,000 streams may take, whatever the machine: elements, and bytes in the
// browser's heap and of the first event on the wire. What is there without any actor is in it too.
const (
	mostNodes    = 3000
	mostWire     = 1 << 20
	mostHeap     = 80 << 20
	mostSought   = 64 << 10 // bytes that the palette may be answered
	crowdedFrame = 8.0      // ms of the processor, p95
)

// TestMultiNodeCrowd: with 20,000 actors, some of which are told something every second,
// the tree (all of it unfolded) and the table hold the rows in sight alone, scroll from top
// to bottom without a blank, and take no more memory and no more bytes than they may.
func TestMultiNodeCrowd(t *testing.T) {
	soak := os.Getenv("MARKETPRISM_SOAK") == "1"
	seconds := 0
	if soak {
		seconds = 30
	}
	f := forest.Grow(t, 20, 1000, 2000)
	if f.Actors < 20_000 {
		t.Fatalf("%d actors", f.Actors)
	}
	weigh(t, f.URL, "actors")
	for i, one := range look(t, f.URL, seconds, "/actors?unfold=all", "/actors?view=table").Pages {
		if digits := strings.Map(onlyDigits, one.Says); digits != strconv.Itoa(f.Actors) {
			t.Errorf("%s says %q, want %d actors", one.Path, one.Says, f.Actors)
		}
		if one.Scroll.Height < 20_000*20 || one.Scroll.Steps < 20 || len(one.Scroll.Blank) > 0 {
			t.Errorf("%s: scrolled %d pixels in %d steps, blank at %v", one.Path, one.Scroll.Height, one.Scroll.Steps, one.Scroll.Blank)
		}
		bounded(t, i, one)
	}
}

// TestMultiNodeFlood: with 5,000 streams, all of which move all the time, the table holds the
// rows in sight alone, and the grid a row for each market.
func TestMultiNodeFlood(t *testing.T) {
	seconds := 0
	if os.Getenv("MARKETPRISM_SOAK") == "1" {
		seconds = 30
	}
	const markets = 25
	r := forest.Flow(t, markets, 200)
	weigh(t, r.URL, "streams")
	for i, one := range look(t, r.URL, seconds, "/streams?view=table", "/streams?view=grid").Pages {
		if i == 0 && (one.Rows != r.Streams || one.Scroll.Height < r.Streams*20 || one.Scroll.Steps < 20 || len(one.Scroll.Blank) > 0) {
			t.Errorf("%s: %d rows of %d, scrolled %d pixels in %d steps, blank at %v", one.Path, one.Rows, r.Streams, one.Scroll.Height, one.Scroll.Steps, one.Scroll.Blank)
		}
		bounded(t, i, one)
	}
}

// bounded checks what a page may take, and on the first of them what the palette asks for.
func bounded(t *testing.T, i int, one crowdedOne) {
	t.Helper()
	if max(one.Nodes, one.Scroll.Nodes) > mostNodes || one.Heap > mostHeap {
		t.Errorf("%s: %d elements, %d while it scrolled (most %d); heap %d (most %d)",
			one.Path, one.Nodes, one.Scroll.Nodes, mostNodes, one.Heap, mostHeap)
	}
	if p := one.Palette; i == 0 && (p.Places == 0 || p.Asked == 0 || p.Bytes > mostSought) {
		t.Errorf("the palette found %d places, of %d answers with %d bytes (most %d)", p.Places, p.Asked, p.Bytes, mostSought)
	}
	t.Logf("%s: usable after %d ms, painted after %d; %d elements; heap %.1f MB",
		one.Path, one.Usable, one.Paint, max(one.Nodes, one.Scroll.Nodes), float64(one.Heap)/(1<<20))
	judge(t, one)
}

// weigh checks what the first event of a topic has on the wire.
func weigh(t *testing.T, at, topic string) {
	t.Helper()
	packed := firstEvent(t, at, topic)
	t.Logf("the first event of %s has %d KB on the wire", topic, packed>>10)
	if packed > mostWire {
		t.Errorf("the first event of %s has %d bytes on the wire, most %d", topic, packed, mostWire)
	}
}

// firstEvent is how many bytes the first event of a topic has on the wire.
func firstEvent(t *testing.T, at, topic string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/api/v1/ui/live?topics="+topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	wire := &counting{from: resp.Body}
	unpacked, err := gzip.NewReader(wire)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReaderSize(unpacked, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "data: ") {
			return wire.n
		}
	}
}

// counting counts the bytes that are read.
type counting struct {
	from io.Reader
	n    int
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.n += n
	return n, err
}

func onlyDigits(r rune) rune {
	if r < '0' || r > '9' {
		return -1
	}
	return r
}

// judge checks the times of a page, where they were taken.
func judge(t *testing.T, one crowdedOne) {
	t.Helper()
	if one.Trace == nil {
		return
	}
	t.Logf("%s: %d frames of p50 %.1f, p95 %.1f, at most %.1f ms; %d other tasks, at most %.1f ms; busy %.1f %%", one.Path, one.Trace.Frames.Count,
		one.Trace.Frames.P50, one.Trace.Frames.P95, one.Trace.Frames.Max, one.Trace.Other.Count, one.Trace.Other.Max, one.Trace.Busy*100)
	if one.Trace.Frames.Count < 10 || one.Trace.Frames.P95 > crowdedFrame || one.Trace.Long > 0 {
		t.Errorf("%s: frames %+v (p95 at most %.0f ms), %d long tasks", one.Path, one.Trace.Frames, crowdedFrame, one.Trace.Long)
	}
}
