package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/internal/certs"
)

// The files of an authority, in the directory of certs.
const (
	authorityCert = "ca.crt"
	authorityKey  = "ca.key"
)

func newCerts(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "certs",
		Short: "make certificates for the nodes of a cluster",
		Long: `certs makes an authority of your own, and certificates that it signs, for those
who have none: with them the nodes speak HTTPS and know one another (node.tls).

Keep ca.key where nobody else reads it, off the nodes: whoever has it can be a node.`,
		Example: `  marketprism certs init
  marketprism certs issue node-1 --host 10.0.0.1 --host node-1.example.com`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(newCertsInit(s), newCertsIssue(s))
	return c
}

func newCertsInit(s streams) *cobra.Command {
	dir, life := "certs", certs.AuthorityLife
	c := &cobra.Command{
		Use: "init", Short: "make an authority", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if life < time.Hour {
				return usage("--life %v: must be at least 1h", life)
			}
			authority, err := certs.NewAuthority("MarketPrism cluster", life, time.Now())
			if err != nil {
				return err
			}
			files, err := authority.PEM()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("making the directory: %w", err)
			}
			cert, key := filepath.Join(dir, authorityCert), filepath.Join(dir, authorityKey)
			if err := writeNew(key, files.Key, 0o600); err != nil {
				return err
			}
			if err := writeNew(cert, files.Certificate, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "%s, good until %s\n%s, its key: keep it off the nodes\nnext: marketprism certs issue NODE --host ADDRESS --dir %s\n",
				cert, authority.Expires().Format(time.DateOnly), key, dir)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", dir, "where the files go")
	c.Flags().DurationVar(&life, "life", life, "how long it is good")
	return c
}

// issueOptions are those of certs issue.
type issueOptions struct {
	dir   string
	hosts []string
	life  time.Duration
	renew bool
}

func newCertsIssue(s streams) *cobra.Command {
	o := issueOptions{dir: "certs", life: certs.NodeLife}
	c := &cobra.Command{
		Use: "issue NODE", Short: "make a certificate for a node, signed by the authority", Args: cobra.ExactArgs(1),
		Long: `issue makes NODE.crt and NODE.key. The certificate names the node, the addresses
that --host gives, and those of loopback; other nodes, and clients of the gateway,
reach it by one of them (node.advertise, else node.listen).

With --renew it takes the place of the one that is there, for the same hosts if none
are given. A node that runs reads files that are replaced within seconds.`,
		RunE: func(_ *cobra.Command, args []string) error { return o.issue(s, args[0]) },
	}
	c.Flags().StringVar(&o.dir, "dir", o.dir, "where the authority is, and the files go")
	c.Flags().StringArrayVar(&o.hosts, "host", nil, "a DNS name or an IP address of the node, several times")
	c.Flags().DurationVar(&o.life, "life", o.life, "how long it is good")
	c.Flags().BoolVar(&o.renew, "renew", false, "replace the certificate that is there")
	return c
}

func (o *issueOptions) issue(s streams, node string) error {
	cert, key := filepath.Join(o.dir, node+".crt"), filepath.Join(o.dir, node+".key")
	switch {
	case node == "" || node == "ca" || strings.ContainsAny(node, "/\\?#%* ") || strings.HasPrefix(node, "."):
		return usage("%q is no name of a node: letters, digits, - and .", node)
	case o.life < time.Minute:
		return usage("--life %v: must be at least 1m", o.life)
	}
	for _, h := range o.hosts {
		if net.ParseIP(h) == nil && (h == "" || strings.ContainsAny(h, ":/ *")) {
			return usage("--host %q: want a DNS name or an IP address, without a port", h)
		}
	}
	authority, err := o.authority()
	if err != nil {
		return err
	}
	hosts := o.hosts
	if len(hosts) == 0 && o.renew {
		if hosts, err = certs.Hosts(cert); err != nil {
			return fmt.Errorf("renewing the certificate: %w", err)
		}
	}
	issued, err := authority.Issue(certs.NodeRequest(node, withLoopback(node, hosts), o.life, time.Now()))
	if err != nil {
		return err
	}
	write := writeNew
	if o.renew {
		write = replace
	}
	if err := write(key, issued.Key, 0o600); err != nil {
		return err
	}
	if err := write(cert, issued.Certificate, 0o644); err != nil {
		return err
	}
	until := time.Now().Add(o.life)
	if end := authority.Expires(); end.Before(until) {
		until = end
	}
	fmt.Fprintf(s.out, "# good until %s\nnode:\n  tls:\n    cert_file: %s\n    key_file: %s\n    ca_file: %s\n",
		until.Format(time.DateOnly), absolute(cert), absolute(key), absolute(filepath.Join(o.dir, authorityCert)))
	return nil
}

func (o *issueOptions) authority() (*certs.Authority, error) {
	var files certs.Issued
	var err error
	if files.Certificate, err = os.ReadFile(filepath.Join(o.dir, authorityCert)); err == nil {
		files.Key, err = os.ReadFile(filepath.Join(o.dir, authorityKey))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, usage("there is no authority in %s: make one with `marketprism certs init --dir %s`", o.dir, o.dir)
	case err != nil:
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	return certs.ReadAuthority(files.Certificate, files.Key)
}

// withLoopback adds to hosts what every node is reached by on its own machine, and its
// name.
func withLoopback(node string, hosts []string) []string {
	all := []string{}
	seen := map[string]bool{}
	for _, h := range append(hosts, node, "localhost", "127.0.0.1", "::1") {
		if !seen[h] {
			seen[h] = true
			all = append(all, h)
		}
	}
	return all
}

// writeNew writes a file that is not there yet.
func writeNew(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return usage("%s is there already; move it away first, or see --renew of `marketprism certs issue`", path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// replace puts a file in the place of another, whole at every moment.
func replace(path string, text []byte, mode fs.FileMode) error {
	half := path + ".new"
	if err := os.Remove(half); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := writeNew(half, text, mode); err != nil {
		return err
	}
	if err := os.Rename(half, path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}
