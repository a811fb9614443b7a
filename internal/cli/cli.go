// Package cli is the command line: one file a command. It parses, calls the
// package that does the work, and turns errors into exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/config"
)

// The exit codes.
const (
	// ExitOK: it was done. Findings (gaps in a capture) are no failure.
	ExitOK = 0
	// ExitFailed: it could not be done.
	ExitFailed = 1
	// ExitUsage: the command line or the configuration is wrong.
	ExitUsage = 2
	// ExitInput: a file is not what it should be.
	ExitInput = 3
)

// exitError carries an exit code up to Main.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exitError{ExitUsage, fmt.Errorf(format, args...)}
}

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
}

// Main runs the program and returns its exit code. A first SIGINT or SIGTERM ends
// the context of the command, which then stops in order; a second one ends the
// process at once.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal has its default effect
	return Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())
}

// Run is [Main] with everything given.
func Run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer, environ []string) int {
	root := newRoot(streams{in: in, out: out, err: errs, environ: environ})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	fmt.Fprintln(errs, "marketprism:", err)
	var coded *exitError
	var invalid config.Errors
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &invalid):
		return ExitUsage
	}
	return ExitFailed
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "marketprism",
		Short: "Collect market data, prove that it is complete, store it and serve it",
		Long: `MarketPrism collects market data from crypto exchanges, proves that it is
complete, stores it and serves it.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 a file is not
what it should be.`,
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%w; see `%s --help`", err, c.CommandPath())
	})
	var secure secureOptions
	secure.flags(root)
	root.PersistentPreRun = func(c *cobra.Command, _ []string) {
		c.SetContext(context.WithValue(c.Context(), callerKey{}, newCaller(c, s, secure)))
	}
	root.AddCommand(
		newDev(s), newStart(s), newStop(s), newStatus(s), newDoctor(s), newConfig(s), newStorage(s), newJournal(s), newNode(s), newArchive(s), newQuery(s), newTop(s), newTail(s),
		newBackfill(s), newCapture(s), newReplay(s), newSimulate(s), newNormalize(s), newBench(s), newRules(s), newActors(s), newUser(s), newAPIKey(s), newCerts(s), newVersion(s),
	)
	for _, c := range root.Commands() {
		strict(c)
	}
	return root
}

// strict makes wrong arguments a matter of usage.
func strict(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usage("%w; see `%s --help`", err, c.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}
