package cli

import "github.com/spf13/cobra"

func newNode(s streams) *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "see and change which nodes there are", Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(clusterNodes(s)...)
	return c
}
