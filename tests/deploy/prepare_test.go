package deploy

import (
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

var secret = regexp.MustCompile(`(?m)^[A-Z0-9_]+=[0-9a-f-]{36,64}$`)

// TestPrepare: prepare makes secrets that others cannot read, and a certificate for each
// node that its authority has signed; run again it leaves all of that.
func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	env := []string{"MARKETPRISM=" + harness.Program(t)}
	must(t, env, filepath.Join(deployed, "prepare"), dir)
	before := contents(t, dir)
	must(t, env, filepath.Join(deployed, "prepare"), dir)
	for name, text := range contents(t, dir) {
		if before[name] != text {
			t.Errorf("%s is another after the second run", name)
		}
	}
	if n := len(secret.FindAllString(before[".env"], -1)); n != 6 {
		t.Errorf("%d secrets in\n%s", n, before[".env"])
	}
	for _, name := range []string{".env", "certs/ca.key", "certs/node-2.key"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want it for its owner only", name, info, err)
		}
	}
	if password := strings.TrimSpace(before["secrets/prometheus/questdb_password"]); !strings.Contains(before[".env"], "QUESTDB_PASSWORD="+password+"\n") {
		t.Errorf("Prometheus asks QuestDB with the password %q", password)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(before["secrets/prometheus/ca.crt"])) {
		t.Fatal("Prometheus has no authority")
	}
	for _, node := range []string{"node-1", "node-2", "node-3"} {
		block, _ := pem.Decode([]byte(before["certs/"+node+".crt"]))
		if block == nil {
			t.Fatalf("%s has no certificate", node)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Verify(x509.VerifyOptions{Roots: roots, DNSName: node}); err != nil {
			t.Errorf("%s: %v", node, err)
		}
	}
}

// contents are the files below a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all[name] = text(t, filepath.Join(dir, name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
