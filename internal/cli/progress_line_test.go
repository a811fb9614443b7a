package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marketprism/marketprism/internal/cli/replay"
)

// TestProgressOnTerminal: a bar is drawn over, fits the terminal, and stands below what
// others write.
func TestProgressOnTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgressLine(&out)
		p.columns = func() int { return 40 }
		p.draw(0.5, " 50%  half of it, and a text that is longer than the terminal is wide")
		want := "\r[############------------]  50%  half o\x1b[K"
		if out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
		out.Reset()
		if p.draw(0.6, "too soon"); out.Len() > 0 {
			t.Errorf("it draws without a pause: %q", out.String())
		}
		if n, err := p.Write([]byte("a line\n")); n != 7 || err != nil || out.String() != "\r\x1b[Ka line\n"+want[1:len(want)-3] {
			t.Errorf("%d, %v, %q", n, err, out.String())
		}
		<-time.After(drawEvery)
		out.Reset()
		p.draw(1, "done")
		p.end()
		p.end()
		if out.String() != "\r["+strings.Repeat("#", 24)+"] done\x1b[K\n" {
			t.Errorf("%q", out.String())
		}
		out.Reset()
		if _, err := p.Write([]byte("after\n")); err != nil || out.String() != "after\n" {
			t.Errorf("%q, %v", out.String(), err)
		}
	})
}

// TestProgressElsewhere: without a terminal it is lines, now and then, and none of what is
// over soon.
func TestProgressElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgressLine(&out)
		for range 11 {
			p.draw(0.5, "half")
			<-time.After(time.Second)
		}
		p.end()
		if out.String() != "half\nhalf\nhalf\n" {
			t.Errorf("%q", out.String())
		}
		out.Reset()
		p = newProgressLine(&out).patient()
		if p.draw(0.9, "nearly"); out.Len() > 0 {
			t.Errorf("%q", out.String())
		}
		<-time.After(sayEvery)
		if p.draw(0.9, "nearly"); out.String() != "nearly\n" {
			t.Errorf("%q", out.String())
		}
	})
}

func TestTimeLeft(t *testing.T) {
	for _, c := range []struct {
		done float64
		took time.Duration
		want string
	}{{0, time.Minute, ""}, {1, time.Minute, ""}, {0.5, 100 * time.Millisecond, ""}, {0.25, 10 * time.Second, ", 30s left"}} {
		if got := timeLeft(c.done, c.took); got != c.want {
			t.Errorf("%v of it in %v: %q, want %q", c.done, c.took, got, c.want)
		}
	}
}

// TestDistance: a capture is read twice, and how far it is counts both times.
func TestDistance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(path, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	var d distance
	moved := 0
	d.moved = func() { moved++ }
	open := d.of(func() (io.ReadCloser, error) { return os.Open(path) })
	if d.both() != 0 {
		t.Errorf("%v of nothing", d.both())
	}
	for _, want := range []struct{ share, both float64 }{{0, 0.25}, {0.5, 0.75}} {
		f, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(f, make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
		if d.share() != want.share || d.both() != want.both {
			t.Errorf("%v and %v, want %+v", d.share(), d.both(), want)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if moved < 2 {
		t.Errorf("it is told %d times", moved)
	}
}

func TestReplayText(t *testing.T) {
	for p, want := range map[replay.Progress]string{
		{Frames: 5, At: 30 * time.Second, Of: 2 * time.Minute}: " 25%  30s of 2m0s recorded, 5 frames, 30s left",
		{Frames: 1}: "100%  0s of 0s recorded, 1 frames",
		{}:          "  0%  0s of 0s recorded, 0 frames",
	} {
		if got := replayText(p, 10*time.Second); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
