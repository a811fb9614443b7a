package questdb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// answerWithin bounds a question about a whole table: a server that is stopped in the
// middle of it would never answer.
const answerWithin = 5 * time.Minute

// question puts SQL together: text with a place for each value.
type question struct {
	// what is asked for, of which table: "counting rows of trades".
	what string
	text strings.Builder
	args []any
}

// add appends text, in which every ? stands for the next of the values.
func (q *question) add(text string, values ...any) *question {
	for _, v := range values {
		before, after, _ := strings.Cut(text, "?")
		q.args = append(q.args, v)
		fmt.Fprintf(&q.text, "%s$%d", before, len(q.args))
		text = after
	}
	q.text.WriteString(text)
	return q
}

// beyond appends that a row is not within the bounds.
func (q *question) beyond(bounds []bound) *question {
	for _, b := range bounds {
		q.add(" AND (journal IS NULL OR journal != ? OR journal_seq > ?)", b.journal, int64(min(b.seq, maxSeq)))
	}
	return q
}

// maxSeq is the highest sequence that a LONG holds.
const maxSeq = 1<<63 - 1

func (q *question) String() string { return q.text.String() }

// ask puts the one row of an answer into targets.
func (e *Engine) ask(ctx context.Context, q *question, into ...any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := e.admin.QueryRow(ctx, q.String(), q.args...).Scan(into...); err != nil {
		return fmt.Errorf("%s: %w", q.what, e.away(err))
	}
	return nil
}

// list hands over each row of an answer.
func (e *Engine) list(ctx context.Context, q *question, each func(row pgx.CollectableRow) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	rows, err := e.admin.Query(ctx, q.String(), q.args...)
	if err != nil {
		return fmt.Errorf("%s: %w", q.what, e.away(err))
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return fmt.Errorf("%s: %w", q.what, e.away(err))
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", q.what, e.away(err))
	}
	return nil
}
