package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
)

// page is one page of a list, and where the next one begins.
type page[T any] struct {
	rows []T
	next string
}

// pages goes through a list page by page. It ends at the first error, which it yields
// with a zero value.
func pages[T any](ctx context.Context, ask func(ctx context.Context, cursor string) (page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := ""; ; {
			p, err := ask(ctx, cursor)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, row := range p.rows {
				if !yield(row, nil) {
					return
				}
			}
			if cursor = p.next; cursor == "" {
				return
			}
		}
	}
}

// Collect gathers what an iterator yields, until its end or its first error.
func Collect[T any](rows iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for row, err := range rows {
		if err != nil {
			return all, err
		}
		all = append(all, row)
	}
	return all, nil
}

// list goes through a list whose rows are in a member of the answer, and whose next page
// is named by next_cursor.
func list[T any](ctx context.Context, c *Client, service, path string, p parameters, member string) iter.Seq2[T, error] {
	return pages(ctx, func(ctx context.Context, cursor string) (page[T], error) {
		q := parameters{maps.Clone(p.Values)}
		q.set("cursor", cursor)
		var answer map[string]json.RawMessage
		var found page[T]
		if err := c.call(ctx, get(service, path, q.Values), &answer); err != nil {
			return found, err
		}
		err := json.Unmarshal(answer[member], &found.rows)
		if next, ok := answer["next_cursor"]; ok && err == nil {
			err = json.Unmarshal(next, &found.next)
		}
		if err != nil {
			return found, fmt.Errorf("reading a page of %s: %w", path, err)
		}
		return found, nil
	})
}
