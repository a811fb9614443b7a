package top

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Print writes one table as plain text, at most so many rows; 0 is all.
func (p *Picture) Print(w io.Writer, v View, sort, rows int) error {
	t := p.tableOf(v, choice{sort: sort})
	if rows == 0 {
		rows = len(t.rows)
	}
	if _, err := fmt.Fprintf(w, "%s  %d streams, %d actors, %d alerts\n", p.Time.UTC().Format(time.RFC3339), len(p.Streams), len(p.Actors), p.Alerts); err != nil {
		return err
	}
	for _, line := range t.draw(0, rows, 0, false) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// Encode writes the whole picture as one line of JSON.
func (p *Picture) Encode(w io.Writer) error { return json.NewEncoder(w).Encode(p) }
