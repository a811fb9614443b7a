package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/internal/cli/normalize"
	"github.com/marketprism/marketprism/internal/market"
)

func newNormalize(s streams) *cobra.Command {
	var o normalize.Options
	var kinds []string
	var report, form string
	c := &cobra.Command{
		Use:   "normalize CAPTURE",
		Short: "turn a capture into records",
		Long: `normalize reads a capture (- for standard input) and writes its records to
standard output, in the order of the frames. Gaps are findings, not failures:
the exit code is 0. A file that is not a capture, or is cut off, gives 3, after
everything that could be read.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if o.Kinds, err = parseKinds(kinds); err != nil {
				return err
			}
			if form != "ndjson" && form != "summary" {
				return usage("-o %q: want ndjson or summary", form)
			}
			o.Name = captureName(args[0])
			open, done, err := openCapture(s, args[0])
			if err != nil {
				return err
			}
			defer done()
			out := bufio.NewWriterSize(s.out, 256<<10)
			emit := func(market.Record) error { return nil }
			if form == "ndjson" {
				emit = lines(out)
			}
			show := normalizeLine(s, form)
			far, counted := watchNormalize(show, o.Name, emit)
			rep, err := normalize.Run(c.Context(), all.Exchanges(), far.of(open), counted, o)
			show.end()
			if errors.Is(err, normalize.ErrVenue) {
				return usage("%w", err)
			}
			if form == "summary" {
				summarise(out, rep)
			}
			return errors.Join(inputError(args[0], err), out.Flush(), writeReport(report, rep))
		},
	}
	f := c.Flags()
	live := collector.DefaultConfig() // what is printed is what the live collector would store
	f.StringVar(&o.Exchange, "exchange", "", "where the capture is from, when its URLs do not say")
	f.StringVar(&o.Market, "market", "", "spot, perpetual, future or option")
	f.StringSliceVar(&kinds, "kinds", nil, "kinds to emit (default every one; book_top only when named)")
	f.StringVar(&report, "report", "", "write a report of streams, gaps and errors to this file")
	f.StringVarP(&form, "output", "o", "ndjson", "ndjson or summary")
	f.IntVar(&o.BookDepth, "book-depth", live.BookDepth, "levels a side of book_snapshot records; 0 makes none")
	f.DurationVar(&o.BookInterval, "book-interval", live.BookInterval, "time between book_snapshot records")
	return c
}

// normalizeLine is where normalize shows how far it is: nothing is drawn over records.
func normalizeLine(s streams, form string) *progressLine {
	show := newProgressLine(s.err)
	if form == "ndjson" && isTerminal(s.out) {
		return newProgressLine(io.Discard).patient()
	}
	if f, ok := s.out.(*os.File); ok && form == "ndjson" {
		// Who reads a pipe may print where the bar would be.
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
			return show.plain()
		}
	}
	return show.patient()
}

// watchNormalize shows how far a capture is read, and counts the records made of it.
func watchNormalize(show *progressLine, name string, emit func(market.Record) error) (*distance, func(market.Record) error) {
	records, begun := 0, time.Now()
	far := &distance{}
	far.moved = func() {
		done := far.both()
		show.draw(done, fmt.Sprintf("%3.0f%%  %s, %d records", 100*done, name, records)+timeLeft(done, time.Since(begun)))
	}
	return far, func(r market.Record) error {
		records++
		return emit(r)
	}
}

func parseKinds(names []string) ([]market.Kind, error) {
	var kinds []market.Kind
	for _, name := range names {
		k, ok := market.ParseKind(name)
		if !ok {
			return nil, usage("--kinds: %q is no kind of record (%s)", name, kindNames())
		}
		kinds = append(kinds, k)
	}
	return kinds, nil
}

func kindNames() string {
	var names []string
	for _, k := range market.Kinds() {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}

// captureName is how reports name a capture: its folder and name.
func captureName(path string) string {
	name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".gz"), ".ndjson")
	if dir := filepath.Base(filepath.Dir(path)); dir != "." && dir != string(filepath.Separator) {
		return dir + "/" + name
	}
	return name
}

// openCapture opens a file again and again. Standard input is kept in a file of
// its own, because a capture is read twice.
func openCapture(s streams, path string) (open func() (io.ReadCloser, error), done func(), err error) {
	if path != "-" {
		if _, err := os.Stat(path); err != nil {
			return nil, nil, &exitError{ExitInput, err}
		}
		return func() (io.ReadCloser, error) { return os.Open(path) }, func() {}, nil
	}
	spool, err := os.CreateTemp("", "marketprism-capture-*")
	if err != nil {
		return nil, nil, err
	}
	done = func() {
		_ = spool.Close() // it is removed in the same breath
		_ = os.Remove(spool.Name())
	}
	if _, err := io.Copy(spool, s.in); err != nil {
		done()
		return nil, nil, fmt.Errorf("reading standard input: %w", err)
	}
	return func() (io.ReadCloser, error) { return os.Open(spool.Name()) }, done, nil
}

// lines writes records as NDJSON.
func lines(w io.Writer) func(market.Record) error {
	var j market.JSON
	var buf []byte
	return func(r market.Record) error {
		buf = append(j.Append(buf[:0], r), '\n')
		_, err := w.Write(buf)
		return err
	}
}

// inputError gives what a capture did wrong its exit code.
func inputError(path string, err error) error {
	var at *connectors.CaptureError
	if errors.As(err, &at) {
		return &exitError{ExitInput, fmt.Errorf("%s: %w", path, err)}
	}
	return err
}

func writeReport(path string, r *normalize.Report) error {
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func summarise(w io.Writer, r *normalize.Report) {
	fmt.Fprintf(w, "%s: %d frames, %d bytes, %d records in %.2f s\n", r.Capture, r.Frames, r.Bytes, r.Records, r.ElapsedSeconds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "market\tsymbol\tchannel\tproof\tframes\trecords\tgaps\tduplicates\tout of order\tdropped\tresyncs\t")
	for _, s := range r.Streams {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n",
			s.Market, s.Symbol, s.Channel, s.Proof, s.Frames, s.Records, s.GapCount, s.Duplicates, s.OutOfOrder, s.Dropped, s.Resyncs)
	}
	_ = t.Flush() // the writer below keeps its first error
	fmt.Fprintf(w, "%d frames of unknown channels or symbols, %d records that could not be parsed\n", r.UnknownFrames, r.ParseErrorCount)
}
