package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/http/client"
)

// ask prints what the running service answers, and returns the cursor behind it.
func (o *queryOptions) ask(ctx context.Context, s streams, w *output) (next string, err error) {
	base, err := o.find(ctx, s)
	if err != nil {
		return "", err
	}
	c, err := clientAt(ctx, cluster.Storage, base)
	if err != nil {
		return "", err
	}
	answer, err := c.Storage.Query(ctx, o.question(), o.format)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "", fmt.Errorf("nobody answers at %s: start the node, or read its data directory with --data DIR", base)
	case err != nil:
		return "", refused(err)
	}
	_, err = io.Copy(w, answer)
	if err = errors.Join(err, answer.Close()); err != nil {
		return "", err
	}
	if why := answer.Stale(); why != "" {
		fmt.Fprintf(s.err, "marketprism: what was written lately may be missing: %s\n", why)
	}
	if n := answer.FilesMissing(); n > 0 {
		fmt.Fprintf(s.err, "marketprism: %d damaged files were set aside: what they held of this is not printed; see %s/health\n", n, base)
	}
	return answer.Next(), nil
}

// question is what is asked for.
func (o *queryOptions) question() client.Query {
	return client.Query{
		Kind: o.kind.String(), Exchange: o.exchange, Symbol: o.symbol, Market: o.market, From: o.earliest, To: o.latest, Limit: o.limit,
		Newest: o.newest, Fields: o.fields, Origin: o.origin, Tier: o.tier, Exact: o.exact, Cursor: o.cursor,
	}
}
