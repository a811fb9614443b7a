package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/marketprism/marketprism/http/client"
)

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
		return o.showUser(c, s, func(ctx context.Context, g *client.Gateway) (client.User, error) {
			return g.AddUser(ctx, client.NewUser{Name: name, Password: password, Role: role})
		})
	})
	add.Flags().StringVar(&role, "role", role, "reader, writer, operator or admin")
	passwd := userCommand(s, "passwd NAME", "set a user's password, and end the user's logins", func(o *accessOptions, c *cobra.Command, name string) error {
		password, err := readPassword(s, name)
		if err != nil {
			return err
		}
		return o.changeUser(c, s, name, client.UserChange{Password: &password})
	})
	disable := func(use, short string, disabled bool) *cobra.Command {
		return userCommand(s, use, short, func(o *accessOptions, c *cobra.Command, name string) error {
			return o.changeUser(c, s, name, client.UserChange{Disabled: &disabled})
		})
	}
	remove := userCommand(s, "remove NAME", "remove a user, and end the user's logins", func(o *accessOptions, c *cobra.Command, name string) error {
		return o.done(c, s, func(ctx context.Context, g *client.Gateway) (client.Done, error) { return g.RemoveUser(ctx, name) })
	})
	c.AddCommand(add, passwd, newUserList(s), newUserRole(s),
		disable("disable NAME", "refuse a user at once, live tokens included", true),
		disable("enable NAME", "let a disabled user log in again", false), remove)
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
			return o.changeUser(c, s, args[0], client.UserChange{Role: args[1]})
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
			users, err := askGateway(c.Context(), o, s, func(ctx context.Context, g *client.Gateway) ([]client.User, error) { return g.Users(ctx) })
			if err != nil {
				return err
			}
			return printUsers(s.out, o.form, users)
		},
	}
	o.flags(c)
	return c
}

func (o *accessOptions) changeUser(c *cobra.Command, s streams, name string, to client.UserChange) error {
	return o.showUser(c, s, func(ctx context.Context, g *client.Gateway) (client.User, error) { return g.ChangeUser(ctx, name, to) })
}

// showUser makes or changes a user, and prints what the user is then.
func (o *accessOptions) showUser(c *cobra.Command, s streams, what func(context.Context, *client.Gateway) (client.User, error)) error {
	u, err := askGateway(c.Context(), o, s, what)
	if err != nil {
		return err
	}
	return printUsers(s.out, o.form, []client.User{u})
}

// done removes something, and prints what is said of it.
func (o *accessOptions) done(c *cobra.Command, s streams, what func(context.Context, *client.Gateway) (client.Done, error)) error {
	answer, err := askGateway(c.Context(), o, s, what)
	if err != nil {
		return err
	}
	if o.form == "json" {
		return json.NewEncoder(s.out).Encode(answer)
	}
	_, err = fmt.Fprintln(s.out, answer.Message)
	return err
}

func printUsers(w io.Writer, form string, all []client.User) error {
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", u.Name, u.Role, state, u.PasswordChangedAt.Format(time.RFC3339))
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
