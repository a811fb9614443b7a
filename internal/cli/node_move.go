package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/http/client"
)

func newNodeMove(s streams) *cobra.Command {
	o := newNodeOptions()
	var reason string
	var keep, within time.Duration
	var detach bool
	c := &cobra.Command{
		Use: "move STREAM NODE", Short: "have a node collect a stream", Args: cobra.ExactArgs(2),
		Long: `move has a node collect a stream, named exchange/market/symbol, and waits until it
is there. The stream goes without a hole, and stays, however the others are placed,
until --for is over or ` + "`node unpin`" + `. While the node is away, drains or has no
room, the stream is placed as any other.`,
		Example: `  marketprism node move binance/spot/BTC-USDT node-2 --for 2h --reason "closer"
  marketprism node unpin binance/spot/BTC-USDT`,
		RunE: func(c *cobra.Command, args []string) error {
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			answer, err := ask.Monitoring.MoveStream(c.Context(), args[0], args[1], keep, reason)
			if err != nil {
				return err
			}
			if detach {
				_, err := fmt.Fprintln(s.out, answer.Message)
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), within)
			defer cancel()
			return awaitMoved(ctx, s, ask, args[0], args[1])
		},
	}
	o.flags(c)
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log and whoever looks")
	c.Flags().DurationVar(&keep, "for", 0, "for how long it is to stay there, such as 2h; without it, until unpin")
	c.Flags().DurationVar(&within, "timeout", time.Minute, "how long to wait; the order stays")
	c.Flags().BoolVar(&detach, "detach", false, "do not wait")
	return c
}

// awaitMoved waits until a node has a stream.
func awaitMoved(ctx context.Context, s streams, ask *client.Client, stream, node string) error {
	look := time.NewTicker(pollDrain)
	defer look.Stop()
	for {
		v, err := ask.Monitoring.Cluster(ctx, true)
		if err == nil && slices.ContainsFunc(v.Placement.Owners, func(w client.Owner) bool {
			return w.Stream == stream && w.Node == node && w.State == "settled"
		}) {
			_, err := fmt.Fprintf(s.out, "%s is at %s\n", stream, node)
			return err
		}
		select {
		case <-ctx.Done():
			return &exitError{ExitFailed, fmt.Errorf("%s is not at %s yet; the order stays, and `marketprism node status %s` tells how far it is", stream, node, node)}
		case <-look.C:
		}
	}
}

func newNodeUnpin(s streams) *cobra.Command {
	o := newNodeOptions()
	c := &cobra.Command{
		Use: "unpin STREAM", Short: "let a stream be placed as any other", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ask, err := o.client(c.Context(), s)
			if err != nil {
				return err
			}
			answer, err := ask.Monitoring.UnpinStream(c.Context(), args[0], "")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(s.out, answer.Message)
			return err
		},
	}
	o.flags(c)
	return c
}

// printPins prints the streams that are to be somewhere.
func printPins(w io.Writer, pins []client.Pin, now time.Time) {
	if len(pins) > 0 {
		fmt.Fprintln(w, "\nPINNED\tTO\tTHERE\tENDS\tBY\tREASON")
	}
	for _, p := range pins {
		there, ends := "no", "-"
		if p.Held {
			there = "yes"
		}
		if p.Until != nil {
			ends = "in " + p.Until.Sub(now).Round(time.Second).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Stream, p.Node, there, ends, orDash(p.By), oneLine(p.Reason))
	}
}

// printJournal prints one line about the journal, and one for each shard that lacks
// something.
func printJournal(w io.Writer, j *client.Replication) {
	if j == nil {
		return
	}
	word := "can be written"
	if !j.Quorum {
		word = "CANNOT be written"
	}
	leaders := map[string]int{}
	for _, s := range j.Shards {
		if s.Leader != "" {
			leaders[s.Leader]++
		}
	}
	var led []string
	for _, node := range slices.Sorted(maps.Keys(leaders)) {
		led = append(led, fmt.Sprintf("%s leads %d", node, leaders[node]))
	}
	if len(led) == 0 {
		led = []string{"nobody leads"}
	}
	if j.Replicas > 1 {
		fmt.Fprintf(w, "journal: %d shards, %d copies of each, %s; %s\n", len(j.Shards), j.Replicas, word, strings.Join(led, ", "))
	} else {
		fmt.Fprintf(w, "journal: %d shards, one copy of each\n", len(j.Shards))
	}
	for _, s := range j.Shards {
		for _, c := range s.Copies {
			switch {
			case !c.There:
				fmt.Fprintf(w, "  shard %d: %s is away, for %v\n", s.Shard, c.Node, time.Duration(c.HeardSeconds*1e9).Round(time.Second))
			case !c.Current || c.Lag > 0:
				fmt.Fprintf(w, "  shard %d: %s is %d operations behind\n", s.Shard, c.Node, c.Lag)
			}
		}
	}
}
