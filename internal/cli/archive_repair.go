package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/internal/app"
	"github.com/marketprism/marketprism/persistence/cold"
)

// coldAt are the flags that find a cold store, and say how to look at it.
type coldAt struct {
	settings
	data      string
	checksums bool
	form      string
}

func (o *coldAt) flags(c *cobra.Command) {
	o.settings.flags(c)
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data directory of the node (default: as configured)")
	f.BoolVar(&o.checksums, "checksums", false, "read every file and compare its checksum (default: sizes alone)")
	f.StringVarP(&o.form, "output", "o", "table", "table or json")
}

// open finds the store. alone refuses where a node runs on the data directory.
func (o *coldAt) open(ctx context.Context, s streams, alone bool) (cold.Bucket, error) {
	if o.form != "table" && o.form != "json" {
		return nil, usage("-o %q: want table or json", o.form)
	}
	with := o.settings
	if o.data != "" {
		with.set = append(append([]string{}, o.set...), "node.data_dir="+o.data)
	}
	loaded, err := with.load(s)
	if err != nil {
		return nil, err
	}
	dir, cfg := loaded.Config.Node.DataDir, loaded.Config.Storage.Storage.Cold
	if pid, _, ok := app.Running(dir, cluster.Storage); ok && alone {
		return nil, usage("%s runs on %s as process %d: stop it first, and every other node that uses this cold store", cluster.Storage, dir, pid)
	}
	place := filepath.Join(dir, "cold")
	if cfg.Path != "" {
		place = cfg.Path
	}
	if _, err := os.Stat(place); !cfg.S3.Used() && errors.Is(err, fs.ErrNotExist) { // opening would make it
		return nil, &exitError{ExitInput, fmt.Errorf("there is no cold store at %s", place)}
	}
	return cold.NewBucket(ctx, cfg, place)
}

// diagnose looks at the store, and shows how far it is.
func (o *coldAt) diagnose(ctx context.Context, s streams, b cold.Bucket) (*cold.Diagnosis, error) {
	show := newProgressLine(s.err)
	d, err := cold.Diagnose(ctx, b, cold.DiagnosisOptions{Checksums: o.checksums, Told: func(done, all int) {
		show.draw(float64(done)/float64(all), fmt.Sprintf("%d of %d files", done, all))
	}})
	show.end()
	if err != nil {
		return nil, fmt.Errorf("looking at the cold store at %s: %w", b, err)
	}
	return d, nil
}

// print shows a diagnosis.
func (o *coldAt) print(w io.Writer, d *cold.Diagnosis) error {
	if o.form == "json" {
		return json.NewEncoder(w).Encode(d)
	}
	fmt.Fprintf(w, "cold store %s\n", d.Place)
	if d.Whole {
		fmt.Fprintf(w, "the manifest is whole, and lists %d files with %d rows (%s)\n", d.Listed, d.Rows, size(d.Bytes))
	} else {
		fmt.Fprintf(w, "the manifest is damaged; what can be read and proved is %d files with %d rows (%s)\n", d.Listed, d.Rows, size(d.Bytes))
	}
	list := func(what string, all []cold.Damaged) {
		for _, x := range all {
			fmt.Fprintf(w, "  %s: %s: %s\n", what, x.File, x.Reason)
		}
	}
	list("unreadable", d.Broken)
	for _, p := range d.Found {
		fmt.Fprintf(w, "  found, whole and not listed: %s (%d rows)\n", p.File, p.Rows)
	}
	list("not listed and not proved", d.Unproven)
	list("damaged", d.Lacking)
	if d.Whole && d.Unlisted > 0 {
		fmt.Fprintf(w, "  %d files are in no record; they are what interrupted archives have left, and are swept in time\n", d.Unlisted)
	}
	return nil
}

func newArchiveVerify(s streams) *cobra.Command {
	var o coldAt
	c := &cobra.Command{
		Use: "verify", Short: "hold the manifest of the cold store against its files", Args: cobra.NoArgs,
		Long: `verify reads the manifest of the cold store, in its directory or bucket, and holds
it against the files. It changes nothing, and may run beside a node: a file that
is joined to others at that moment may then be named as missing. The exit code
is 1 unless all is well.`,
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := o.open(c.Context(), s, false)
			if err != nil {
				return err
			}
			d, err := o.diagnose(c.Context(), s, b)
			if err != nil {
				return err
			}
			if err := o.print(s.out, d); err != nil {
				return err
			}
			switch {
			case !d.Whole:
				return &exitError{ExitFailed, errors.New("the manifest is damaged: the next node that uses the store mends it, and so does `marketprism archive repair`")}
			case len(d.Lacking) > 0:
				return &exitError{ExitFailed, fmt.Errorf("%d files are damaged: put good copies in their places, and they are read again within the hour", len(d.Lacking))}
			}
			return nil
		},
	}
	o.flags(c)
	return c
}

func newArchiveRepair(s streams) *cobra.Command {
	var o coldAt
	var write bool
	c := &cobra.Command{
		Use: "repair", Short: "mend the manifest of a cold store that no node uses", Args: cobra.NoArgs,
		Long: `repair lists anew what the readable records of the manifest list, and the files
that prove by their names, footers and content what they are. It says what it
would do; with --write it does it. A node does the same by itself.

What it cannot prove it leaves where it is, and names it. Damaged records stay
too, with a copy in quarantine/; a new record stands for them.`,
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := o.open(c.Context(), s, true)
			if err != nil {
				return err
			}
			d, err := o.diagnose(c.Context(), s, b)
			if err != nil {
				return err
			}
			if err := o.print(s.out, d); err != nil {
				return err
			}
			switch {
			case d.Whole:
				fmt.Fprintln(s.err, "there is nothing to repair")
				return nil
			case !write:
				return &exitError{ExitFailed, errors.New("nothing was changed: say --write to have it done")}
			}
			if err := d.Repair(c.Context()); errors.Is(err, cold.ErrExists) {
				return fmt.Errorf("a node uses the store, and mends it by itself: %w", err)
			} else if err != nil {
				return err
			}
			fmt.Fprintf(s.err, "repaired: the manifest lists %d files with %d rows\n", d.Listed, d.Rows)
			return nil
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&write, "write", false, "do it")
	return c
}
