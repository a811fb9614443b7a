package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/client"
	"github.com/marketprism/marketprism/internal/cli/top"
)

// actorsOptions are what the commands below actors share.
type actorsOptions struct {
	serviceOptions
	node string // whose actors; "" is the one that answers
}

// flags adds the flags that they share.
func (o *actorsOptions) flags(c *cobra.Command) {
	o.serviceOptions.flags(c)
	c.Flags().StringVar(&o.node, "node", "", "of which node of the cluster; without it, the one that answers")
}

func newActorsOptions() *actorsOptions {
	return &actorsOptions{serviceOptions: serviceOptions{service: cluster.Monitoring}}
}

func newActors(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "actors",
		Short: "show the supervision tree of the running program",
		Args:  cobra.NoArgs,
	}
	c.AddCommand(newActorsTree(s), newTopOf(s, top.Actors), newActorsInspect(s))
	return c
}

func newActorsTree(s streams) *cobra.Command {
	o := newActorsOptions()
	c := &cobra.Command{
		Use:   "tree [ID]",
		Short: "print every actor, or those at and below one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			tree, err := ask.Monitoring.Actors(c.Context(), o.node)
			if err != nil {
				return o.judged(err)
			}
			if len(args) > 0 {
				tree.Actors = slices.DeleteFunc(tree.Actors, func(n client.Actor) bool {
					return n.ID != args[0] && !strings.HasPrefix(n.ID, args[0]+"/")
				})
				if len(tree.Actors) == 0 {
					return &exitError{ExitFailed, fmt.Errorf("no actor %q; `marketprism actors tree` prints those there are", args[0])}
				}
			}
			if o.form == "json" {
				return json.NewEncoder(s.out).Encode(tree)
			}
			return printTree(s.out, tree.Actors)
		},
	}
	o.flags(c)
	return c
}

// printTree prints parents before children, one line each.
func printTree(w io.Writer, actors []client.Actor) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ACTOR\tSTATE\tMSG/S\tDEPTH\tWAIT P99\tBUSY\tRESTARTS\tBUDGET\tNOTE")
	above := 0
	if len(actors) > 0 {
		above = strings.Count(actors[0].ID, "/")
	}
	for i := range actors {
		n := &actors[i]
		name := strings.Repeat("  ", strings.Count(n.ID, "/")-above) + n.Name
		budget := "-"
		if n.Budget != nil {
			budget = fmt.Sprintf("%d/%d", n.Budget.Left, n.Budget.Restarts)
		}
		fmt.Fprintf(t, "%s\t%s\t%.3g\t%d\t%s\t%.0f%%\t%d\t%s\t%s\n",
			name, n.State, n.Rate, n.Mailbox.Depth, brief(n.Mailbox.WaitP99Seconds), 100*n.BusyRatio, n.RestartsTotal, budget, remark(n))
	}
	return t.Flush()
}

// remark is what is to be known of an actor beyond its figures.
func remark(n *client.Actor) string {
	switch {
	case !n.BackoffUntil.IsZero() && n.LastFailure != nil:
		return "restarts at " + n.BackoffUntil.UTC().Format("15:04:05.000") + ": " + oneLine(n.LastFailure.Reason)
	case n.Note != "":
		return oneLine(n.Note)
	case n.LastFailure != nil:
		return "failed at " + n.LastFailure.Time.UTC().Format("15:04:05") + ": " + oneLine(n.LastFailure.Reason)
	}
	return ""
}

// oneLine cuts a text for a table.
func oneLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

// brief writes seconds for people.
func brief(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Microsecond / 10).String()
}

func newActorsInspect(s streams) *cobra.Command {
	o := newActorsOptions()
	c := &cobra.Command{
		Use:   "inspect ID",
		Short: "print everything about one actor: mailbox, messages by type, last failure with its stack",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			n, err := ask.Monitoring.ActorAt(c.Context(), o.node, args[0])
			if err != nil {
				return o.judged(err)
			}
			if o.form == "json" {
				return json.NewEncoder(s.out).Encode(n)
			}
			return printActor(s.out, &n)
		},
	}
	o.flags(c)
	return c
}

func printActor(w io.Writer, n *client.Actor) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "actor\t%s\nkind\t%s\nstate\t%s since %s, life %d\n", n.ID, n.Kind, n.State, n.StartedAt.UTC().Format(time.RFC3339), n.Incarnation)
	m := n.Mailbox
	fmt.Fprintf(t, "mailbox\t%d of %d (at most %d), %s when full, %d dropped\n", m.Depth, m.Capacity, m.MaxDepth, m.Overflow, m.DroppedTotal)
	fmt.Fprintf(t, "wait\tmean %s, p99 %s, longest %s\n", brief(m.WaitMeanSeconds), brief(m.WaitP99Seconds), brief(m.WaitMaxSeconds))
	fmt.Fprintf(t, "work\t%d messages, %.3g/s, busy %.0f %%, %d goroutines\n", n.HandledTotal, n.Rate, 100*n.BusyRatio, n.Goroutines)
	fmt.Fprintf(t, "luck\t%d failures, %d restarts, %d dead letters; %s\n", n.FailuresTotal, n.RestartsTotal, n.DeadLettersTotal, n.Restart)
	if n.Budget != nil {
		fmt.Fprintf(t, "budget\t%d of %d restarts left; %s\n", n.Budget.Left, n.Budget.Restarts, n.Strategy)
	}
	if n.Note != "" {
		fmt.Fprintf(t, "note\t%s\n", oneLine(n.Note))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(n.Messages) > 0 {
		fmt.Fprintln(t, "\nMESSAGE\tHANDLED\tMEAN\tP99\tLONGEST")
		for _, k := range n.Messages {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", k.Message, k.HandledTotal, brief(k.HandleMeanSeconds), brief(k.HandleP99Seconds), brief(k.HandleMaxSeconds))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if f := n.LastFailure; f != nil {
		fmt.Fprintf(w, "\nlast failure at %s, handling %s: %s\n%s\n", f.Time.UTC().Format(time.RFC3339Nano), f.Message, f.Reason, f.Stack)
	}
	return nil
}
