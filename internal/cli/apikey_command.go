package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

type keyRow struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Role    string     `json:"role"`
	Scopes  []string   `json:"scopes"`
	Owner   string     `json:"owner"`
	Created time.Time  `json:"created_at"`
	Expires *time.Time `json:"expires_at"`
	Used    *time.Time `json:"last_used_at"`
	Key     string     `json:"key,omitempty"`
}

func newAPIKey(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "apikey",
		Short: "manage the keys by which programs ask the gateway",
		Long: `apikey asks the running api-gateway-service, with the same credentials as
user does. A key is shown once, when it is created.`,
		Args: cobra.NoArgs,
	}
	revoke := userCommand(s, "revoke ID", "end a key", func(o *accessOptions, c *cobra.Command, id string) error {
		return o.done(c, s, "apikeys/"+url.PathEscape(id))
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
		body := map[string]any{"name": name, "role": role, "scopes": scopes, "expires_in_seconds": int64(expires / time.Second)}
		var k keyRow
		if err := o.call(c.Context(), s, http.MethodPost, "apikeys", body, &k); err != nil {
			return err
		}
		if o.form == "json" {
			return json.NewEncoder(s.out).Encode(k)
		}
		fmt.Fprintf(s.err, "marketprism: key %s of role %s; it is shown this once:\n", k.ID, k.Role)
		_, err := fmt.Fprintln(s.out, k.Key)
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
			var all struct {
				Keys []keyRow `json:"apikeys"`
			}
			if err := o.call(c.Context(), s, http.MethodGet, "apikeys", nil, &all); err != nil {
				return err
			}
			if o.form == "json" {
				return json.NewEncoder(s.out).Encode(all.Keys)
			}
			t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "ID\tNAME\tROLE\tSCOPES\tOWNER\tEXPIRES\tLAST USED")
			for _, k := range all.Keys {
				scopes := strings.Join(k.Scopes, ",")
				if scopes == "" {
					scopes = "*"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Role, scopes, k.Owner, shown(k.Expires), shown(k.Used))
			}
			return t.Flush()
		},
	}
	o.flags(c)
	return c
}

// shown is a time, or never.
func shown(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Format(time.RFC3339)
}
