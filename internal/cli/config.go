package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
)

// settings are the flags of every command that reads the configuration.
type settings struct {
	file string
	set  []string
}

func (o *settings) flags(c *cobra.Command) {
	c.Flags().StringVarP(&o.file, "config", "c", "", "services.yaml to read (default ./config/services.yaml, else built in)")
	c.Flags().StringArrayVar(&o.set, "set", nil, "one setting, as path=value; may be repeated")
}

// load reads the configuration and says once what deserves notice.
func (o *settings) load(s streams, runtime ...config.Override) (*config.Loaded, error) {
	options, err := o.options(s)
	if err != nil {
		return nil, err
	}
	options.Runtime = runtime
	loaded, err := config.Load(options)
	if err != nil {
		return nil, err
	}
	for _, n := range loaded.Notices {
		fmt.Fprintln(s.err, "marketprism:", n)
	}
	return loaded, nil
}

func (o *settings) options(s streams) (config.Options, error) {
	options := config.Options{Path: o.file, Environ: s.environ}
	for _, text := range o.set {
		path, value, ok := strings.Cut(text, "=")
		if !ok {
			return options, usage("--set %q: want path=value, such as node.data_dir=/var/lib/marketprism", text)
		}
		options.Flags = append(options.Flags, config.Override{Path: path, Text: value, Name: "set"})
	}
	return options, nil
}

func newConfig(s streams) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "check, show or write the configuration", Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(newConfigCheck(s), newConfigShow(s), newConfigInit(s))
	return c
}

func newConfigCheck(s streams) *cobra.Command {
	var o settings
	c := &cobra.Command{
		Use: "check [SERVICE...]", Short: "report everything that is wrong with the configuration",
		Long: `check reports everything that is wrong with the configuration, and what a start
of the services would refuse; without any, of all six.`,
		ValidArgs: cluster.Services(),
		RunE: func(_ *cobra.Command, args []string) error {
			services, err := cluster.Named(args)
			if err != nil {
				return usage("%w", err)
			}
			options, err := o.options(s)
			if err != nil {
				return err
			}
			return config.Check(s.out, options, services...)
		},
	}
	o.flags(c)
	return c
}

func newConfigShow(s streams) *cobra.Command {
	var o settings
	var origin bool
	c := &cobra.Command{
		Use: "show", Short: "print the settings in force", Args: cobra.NoArgs,
		Long: `show prints the settings as YAML that can be read again. What the running
collector was told at run time stands over what files say of its symbols, with
the origin runtime; without one, show says that files are all it knows.`,
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := o.load(s)
			if err != nil {
				return err
			}
			running, err := changedAtRunTime(c.Context(), &loaded.Config)
			if err != nil {
				fmt.Fprintln(s.err, "marketprism: files, variables and flags only, not what was changed at run time:", err)
			}
			return loaded.ShowWith(s.out, origin, running)
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&origin, "origin", false, "say where each was given")
	return c
}

func newConfigInit(s streams) *cobra.Command {
	return &cobra.Command{
		Use: "init DIR", Short: "write the commented defaults", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := config.Init(args[0])
			for _, f := range files {
				fmt.Fprintln(s.out, "wrote", f)
			}
			return err
		},
	}
}
