package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	// sayEvery is the time between two lines where there is no terminal.
	sayEvery = 5 * time.Second
	// drawEvery is the time between two pictures on one.
	drawEvery = 100 * time.Millisecond
	// barWidth is the length of a bar, without its brackets.
	barWidth = 24
)

// progressLine shows how far an operation is: a bar that is drawn over on a
// terminal, a line now and then elsewhere. What is written to it meanwhile stands
// above the bar. It is safe for concurrent use.
type progressLine struct {
	to io.Writer
	// columns is the width of the terminal; nil where there is none.
	columns func() int

	mu    sync.Mutex
	drawn string    // what is on the terminal's last line, "" for nothing
	said  time.Time // when it was drawn, or said
}

func newProgressLine(to io.Writer) *progressLine {
	p := &progressLine{to: to}
	if isTerminal(to) {
		p.columns = func() int { return columnsOf(to) }
	}
	return p
}

// patient says nothing about what is over soon, where there is no terminal.
func (p *progressLine) patient() *progressLine {
	if p.columns == nil {
		p.said = time.Now()
	}
	return p
}

// plain says lines, on a terminal too: something else is written there.
func (p *progressLine) plain() *progressLine {
	p.columns = nil
	return p.patient()
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// columnsOf is the width of a terminal, 80 where it does not say.
func columnsOf(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 80
}

// draw shows how much is done, 0 to 1, and what there is to say.
func (p *progressLine) draw(done float64, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch since := time.Since(p.said); {
	case p.columns == nil && since >= sayEvery:
		fmt.Fprintln(p.to, text)
	case p.columns != nil && (since >= drawEvery || done >= 1):
		p.drawn = fit(bar(done, barWidth)+" "+text, p.columns()-1)
		fmt.Fprintf(p.to, "\r%s\x1b[K", p.drawn)
	default:
		return
	}
	p.said = time.Now()
}

// Write puts lines above the bar. It implements io.Writer.
func (p *progressLine) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn == "" {
		return p.to.Write(text)
	}
	fmt.Fprint(p.to, "\r\x1b[K")
	n, err := p.to.Write(text)
	if err == nil {
		_, err = fmt.Fprint(p.to, p.drawn)
	}
	return n, err
}

// Fd is the terminal's, for who writes otherwise to one; no file's where there is none.
func (p *progressLine) Fd() uintptr {
	if f, ok := p.to.(*os.File); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

// end leaves the bar where it is, and begins a new line.
func (p *progressLine) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn != "" {
		fmt.Fprintln(p.to)
		p.drawn = ""
	}
}

// fit cuts a text to so many columns, each of its runes being one.
func fit(text string, columns int) string {
	runes := []rune(text)
	if len(runes) <= columns {
		return text
	}
	return string(runes[:max(0, columns)])
}

func bar(done float64, width int) string {
	full := int(max(0, min(1, done)) * float64(width))
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", width-full) + "]"
}

// timeLeft says how long it takes until all is done at the pace so far; "" while that
// cannot be known.
func timeLeft(done float64, took time.Duration) string {
	if done <= 0 || done >= 1 || took < time.Second {
		return ""
	}
	left := time.Duration(float64(took) * (1 - done) / done)
	return fmt.Sprintf(", %v left", left.Round(time.Second))
}
