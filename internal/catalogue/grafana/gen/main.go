// Gen writes Grafana's dashboards, one file a page: `go run ./gen DIR`.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/marketprism/marketprism/internal/catalogue/grafana"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gen: writing the dashboards:", err)
		os.Exit(1)
	}
}

// write replaces the dashboards of a folder.
func write(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range grafana.Pages() {
		text, err := p.JSON()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, p.UID+".json"), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
