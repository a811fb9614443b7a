package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/internal/cli/top"
)

// topOptions are the flags of top.
type topOptions struct {
	serviceOptions
	view          top.View
	by            string
	lines, rounds int
	every         time.Duration
}

func newTop(s streams) *cobra.Command {
	c := newTopOf(s, top.Streams)
	c.Use = "top [streams|actors]"
	c.Short = "watch every stream and every actor, of all nodes"
	c.Args = cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs)
	c.ValidArgs = top.Views
	c.Example = `  marketprism top
  marketprism top --by lag
  marketprism top actors --by busy --rounds 1
  marketprism top -o json --rounds 1 | jq '.streams[] | select(.state != "live")'`
	return c
}

// newTopOf begins with one of the two tables.
func newTopOf(s streams, view top.View) *cobra.Command {
	o := topOptions{serviceOptions: serviceOptions{service: cluster.Monitoring}, view: view}
	c := &cobra.Command{
		Use:   "top",
		Short: "watch the busiest actors, and every stream",
		Long: `top shows streams (state, records a second, lag, coverage, gaps) and actors (busy,
mailbox, restarts) as they change. On a terminal it fills the screen: tab changes the
table, s the order, / filters, p holds it, q ends it. Elsewhere one table follows the
other, and with -o json a line of JSON has everything.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.view = top.View(slices.Index(top.Views, args[0]))
			}
			return o.run(c.Context(), s)
		},
	}
	o.flags(c)
	c.Flags().StringVar(&o.by, "by", "name", "column to sort by: "+strings.Join(top.SortColumns(top.Streams), ", ")+"; of actors "+strings.Join(top.SortColumns(top.Actors), ", "))
	c.Flags().IntVarP(&o.lines, "lines", "n", 0, "rows of a table that is printed; 0 is all")
	c.Flags().IntVar(&o.rounds, "rounds", 0, "how often to print; 0 is until Ctrl-C, and the whole screen on a terminal")
	c.Flags().DurationVar(&o.every, "every", 2*time.Second, "time between two tables that are printed")
	return c
}

func (o *topOptions) run(ctx context.Context, s streams) error {
	columns := top.SortColumns(o.view)
	sort := slices.Index(columns, o.by)
	if sort < 0 {
		return usage("--by %q: %s have %s", o.by, top.Views[o.view], strings.Join(columns, ", "))
	}
	if o.lines < 0 || o.rounds < 0 || o.every < 100*time.Millisecond {
		return usage("-n and --rounds are at least 0, --every at least 100ms")
	}
	base, err := o.find(ctx, s)
	if err != nil {
		return err
	}
	c, err := clientAt(ctx, o.service, base)
	if err != nil {
		return err
	}
	feed := &top.Feed{Service: c.Monitoring}
	if isTerminal(s.out) && o.rounds == 0 && o.form == "table" {
		return o.draw(ctx, s, feed, top.NewScreen(base, o.view, sort))
	}
	return o.print(ctx, s, feed, sort)
}

// draw fills the screen until it is left.
func (o *topOptions) draw(ctx context.Context, s streams, feed *top.Feed, screen *top.Screen) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	program := tea.NewProgram(screen, tea.WithContext(ctx), tea.WithInput(s.in), tea.WithOutput(s.out), tea.WithEnvironment(s.environ), tea.WithoutSignalHandler())
	failed := make(chan error, 1)
	go func() {
		failed <- feed.Run(ctx, func(u top.Update) { program.Send(u) })
		program.Quit()
	}()
	_, err := program.Run()
	cancel()
	if first := <-failed; first != nil {
		return o.judged(first)
	}
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, context.Canceled) {
		return nil // Ctrl-C from outside
	}
	return err
}

// print writes one picture after the other.
func (o *topOptions) print(ctx context.Context, s streams, feed *top.Feed, sort int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed error
	var first, last time.Time
	printed := 0
	err := feed.Run(ctx, func(u top.Update) {
		switch {
		case ctx.Err() != nil:
			return
		case u.Lost != nil:
			failed = u.Lost
			cancel()
			return
		case first.IsZero():
			first = u.Picture.Time
			return
		case u.Picture.Time.Sub(first) < top.RateOver, u.Picture.Time.Sub(last) < o.every:
			return
		}
		last = u.Picture.Time
		if o.form == "json" {
			failed = u.Picture.Encode(s.out)
		} else {
			failed = u.Picture.Print(s.out, o.view, sort, o.lines)
		}
		if printed++; failed != nil || printed == o.rounds {
			cancel()
		}
	})
	return errors.Join(o.judged(err), failed)
}
