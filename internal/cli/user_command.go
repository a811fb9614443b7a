package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

type userRow struct {
	Name     string    `json:"name"`
	Role     string    `json:"role"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created_at"`
	Changed  time.Time `json:"password_changed_at"`
}

func newUser(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "manage who logs in at the gateway",
		Long: `user asks the running api-gateway-service. Where that asks who you are, an
administrator's API key is taken from MARKETPRISM_API_KEY, or from the file that
MARKETPRISM_API_KEY_FILE names; without one, the login that the first start made
is used while its file is in the data directory. Passwords are read from the
terminal, or as one line from standard input; never from the command line.`,
		Args: cobra.NoArgs,
	}
	role := "reader"
	add := userCommand(s, "add NAME", "add a user", func(o *accessOptions, c *cobra.Command, name string) error {
		password, err := readPassword(s, name)
		if err != nil {
			return err
		}
		return o.showUser(c, s, http.MethodPost, "users", map[string]any{"name": name, "password": password, "role": role})
	})
	add.Flags().StringVar(&role, "role", role, "reader, writer, operator or admin")
	passwd := userCommand(s, "passwd NAME", "set a user's password, and end the user's logins", func(o *accessOptions, c *cobra.Command, name string) error {
		password, err := readPassword(s, name)
		if err != nil {
			return err
		}
		return o.changeUser(c, s, name, map[string]any{"password": password})
	})
	change := func(use, short string, body map[string]any) *cobra.Command {
		return userCommand(s, use, short, func(o *accessOptions, c *cobra.Command, name string) error { return o.changeUser(c, s, name, body) })
	}
	remove := userCommand(s, "remove NAME", "remove a user, and end the user's logins", func(o *accessOptions, c *cobra.Command, name string) error {
		return o.done(c, s, "users/"+url.PathEscape(name))
	})
	c.AddCommand(add, passwd, newUserList(s), newUserRole(s),
		change("disable NAME", "refuse a user at once, live tokens included", map[string]any{"disabled": true}),
		change("enable NAME", "let a disabled user log in again", map[string]any{"disabled": false}), remove)
	return c
}

func userCommand(s streams, use, short string, run func(o *accessOptions, c *cobra.Command, name string) error) *cobra.Command {
	o := newAccessOptions()
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error { return run(o, c, args[0]) }}
	o.flags(c)
	return c
}

func newUserRole(s streams) *cobra.Command {
	o := newAccessOptions()
	c := &cobra.Command{
		Use: "role NAME ROLE", Short: "give a user another role: reader, writer, operator or admin", Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return o.changeUser(c, s, args[0], map[string]any{"role": args[1]})
		},
	}
	o.flags(c)
	return c
}

func newUserList(s streams) *cobra.Command {
	o := newAccessOptions()
	c := &cobra.Command{
		Use: "list", Short: "list users", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var all struct {
				Users []userRow `json:"users"`
			}
			if err := o.call(c.Context(), s, http.MethodGet, "users", nil, &all); err != nil {
				return err
			}
			return printUsers(s.out, o.form, all.Users)
		},
	}
	o.flags(c)
	return c
}

func (o *accessOptions) changeUser(c *cobra.Command, s streams, name string, body map[string]any) error {
	return o.showUser(c, s, http.MethodPatch, "users/"+url.PathEscape(name), body)
}

func (o *accessOptions) showUser(c *cobra.Command, s streams, method, path string, body map[string]any) error {
	var u userRow
	if err := o.call(c.Context(), s, method, path, body, &u); err != nil {
		return err
	}
	return printUsers(s.out, o.form, []userRow{u})
}

// done removes something, and prints what is said of it.
func (o *accessOptions) done(c *cobra.Command, s streams, path string) error {
	var answer struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
	}
	if err := o.call(c.Context(), s, http.MethodDelete, path, nil, &answer); err != nil {
		return err
	}
	if o.form == "json" {
		return json.NewEncoder(s.out).Encode(answer)
	}
	_, err := fmt.Fprintln(s.out, answer.Message)
	return err
}

func printUsers(w io.Writer, form string, all []userRow) error {
	if form == "json" {
		return json.NewEncoder(w).Encode(all)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "USER\tROLE\tSTATE\tPASSWORD SET")
	for _, u := range all {
		state := "enabled"
		if u.Disabled {
			state = "disabled"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", u.Name, u.Role, state, u.Changed.Format(time.RFC3339))
	}
	return t.Flush()
}

// readPassword asks twice on a terminal, and else reads one line.
func readPassword(s streams, name string) (string, error) {
	f, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(s.in, 4<<10)).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", usage("no password on standard input: type it on a terminal, or send it as one line")
		}
		return line, nil
	}
	var typed [2]string
	for i, prompt := range []string{"New password for " + name + ": ", "Again: "} {
		fmt.Fprint(s.err, prompt)
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(s.err)
		if err != nil {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		typed[i] = string(text)
	}
	if typed[0] != typed[1] {
		return "", usage("the two passwords are not the same")
	}
	return typed[0], nil
}
