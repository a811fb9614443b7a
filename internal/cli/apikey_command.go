package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/http/client"
)

func newAPIKey(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "apikey",
		Short: "manage the keys by which programs ask the gateway",
		Long: `apikey asks the running api-gateway-service, with the same credentials as
user does. A key is shown once, when it is created.`,
		Args: cobra.NoArgs,
	}
	revoke := userCommand(s, "revoke ID", "end a key", func(o *accessOptions, c *cobra.Command, id string) error {
		return o.done(c, s, func(ctx context.Context, g *client.Gateway) (client.Done, error) { return g.RevokeAPIKey(ctx, id) })
	})
	c.AddCommand(newAPIKeyCreate(s), newAPIKeyList(s), revoke)
	return c
}

func newAPIKeyCreate(s streams) *cobra.Command {
	role, scopes, expires := "reader", []string{}, time.Duration(0)
	c := userCommand(s, "create NAME", "create a key, and print it", func(o *accessOptions, c *cobra.Command, name string) error {
		if expires < 0 {
			return usage("--expires %v: must not be negative", expires)
		}
		k, err := askGateway(c.Context(), o, s, func(ctx context.Context, g *client.Gateway) (client.CreatedKey, error) {
			return g.CreateAPIKey(ctx, client.NewAPIKey{Name: name, Role: role, Scopes: scopes, ExpiresInSeconds: int64(expires / time.Second)})
		})
		if err != nil {
			return err
		}
		if o.form == "json" {
			return json.NewEncoder(s.out).Encode(k)
		}
		fmt.Fprintf(s.err, "marketprism: key %s of role %s; it is shown this once:\n", k.ID, k.Role)
		_, err = fmt.Fprintln(s.out, k.Key)
		return err
	})
	c.Flags().StringVar(&role, "role", role, "reader, writer, operator or admin")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "SERVICE or SERVICE:ROLE that it is for, several times; without it every service")
	c.Flags().DurationVar(&expires, "expires", 0, "how long it is good, such as 720h; 0 is for ever")
	return c
}

func newAPIKeyList(s streams) *cobra.Command {
	o := newAccessOptions()
	c := &cobra.Command{
		Use: "list", Short: "list the keys that there are", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			keys, err := askGateway(c.Context(), o, s, func(ctx context.Context, g *client.Gateway) ([]client.APIKey, error) { return g.APIKeys(ctx) })
			if err != nil {
				return err
			}
			if o.form == "json" {
				return json.NewEncoder(s.out).Encode(keys)
			}
			return printKeys(s.out, keys)
		},
	}
	o.flags(c)
	return c
}

func printKeys(w io.Writer, keys []client.APIKey) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tROLE\tSCOPES\tOWNER\tEXPIRES\tLAST USED")
	for _, k := range keys {
		scopes := strings.Join(k.Scopes, ",")
		if scopes == "" {
			scopes = "*"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Role, scopes, k.Owner, shown(k.ExpiresAt), shown(k.LastUsedAt))
	}
	return t.Flush()
}

// shown is a time, or never.
func shown(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Format(time.RFC3339)
}
