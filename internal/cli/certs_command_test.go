package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/internal/certs"
	"github.com/marketprism/marketprism/internal/certs/certstest"
)

func runCerts(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Run(context.Background(), args, strings.NewReader(""), &stdout, &stderr, nil)
	return code, stdout.String(), stderr.String()
}

// TestCertsCommand: what the two commands make can be used as it is, and renewed.
func TestCertsCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	if code, _, errs := runCerts(t, "certs", "issue", "a", "--dir", dir); code != ExitUsage || !strings.Contains(errs, "certs init") {
		t.Errorf("without an authority: %d %s", code, errs)
	}
	if code, _, errs := runCerts(t, "certs", "init", "--dir", dir); code != 0 {
		t.Fatalf("%d %s", code, errs)
	}
	if code, _, errs := runCerts(t, "certs", "init", "--dir", dir); code != ExitUsage || !strings.Contains(errs, "there already") {
		t.Errorf("a second authority: %d %s", code, errs)
	}
	code, out, errs := runCerts(t, "certs", "issue", "a", "--dir", dir, "--host", "10.0.0.7", "--host", "a.example.com")
	if code != 0 {
		t.Fatalf("%d %s", code, errs)
	}
	files := certs.DefaultConfig()
	files.CertFile, files.KeyFile, files.CAFile = filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key"), filepath.Join(dir, "ca.crt")
	for _, path := range []string{files.CertFile, files.KeyFile, files.CAFile} {
		if !strings.Contains(out, path) {
			t.Errorf("%s is not named in\n%s", path, out)
		}
	}
	// What is printed are the settings.
	settings := filepath.Join(t.TempDir(), "services.yaml")
	if err := os.WriteFile(settings, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runCerts(t, "config", "check", "-c", settings); code != 0 {
		t.Errorf("config check: %d %s", code, errs)
	}
	for _, key := range []string{"a.key", "ca.key"} {
		if info, err := os.Stat(filepath.Join(dir, key)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", key, info.Mode(), err)
		}
	}
	first := standing(t, files)
	if code, _, errs := runCerts(t, "certs", "issue", "a", "--dir", dir); code != ExitUsage || !strings.Contains(errs, "--renew") {
		t.Errorf("a second certificate: %d %s", code, errs)
	}
	if code, _, errs := runCerts(t, "certs", "issue", "a", "--dir", dir, "--renew", "--life", "48h"); code != 0 {
		t.Fatalf("renewing: %d %s", code, errs)
	}
	second := standing(t, files)
	if strings.Join(first.Names, " ") != strings.Join(second.Names, " ") || !second.Expires.Before(first.Expires) {
		t.Errorf("%+v became %+v", first, second)
	}
	for want, args := range map[string][]string{
		"no name of a node": {"x/y"}, "at least 1m": {"b", "--life", "1s"}, "DNS name": {"b", "--host", "10.0.0.7:80"}, "no name": {"ca"},
	} {
		if code, _, errs := runCerts(t, append([]string{"certs", "issue", "--dir", dir}, args...)...); code != ExitUsage || !strings.Contains(errs, want) {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 4 {
		t.Errorf("%v %v", entries, err)
	}
}

func standing(t *testing.T, c certs.Config) certs.Standing {
	t.Helper()
	p, err := certs.Open(certs.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	return p.Standing()
}

// TestCommandsOverHTTPS: commands trust the authority that flags or settings name, and
// show the certificate.
func TestCommandsOverHTTPS(t *testing.T) {
	ca := certstest.New(t, "ours")
	dir := t.TempDir()
	files := certstest.Files(t, dir, ca.Node("a"), ca.PEM())
	pair, err := certs.Open(certs.Options{Config: files})
	if err != nil {
		t.Fatal(err)
	}
	shown := make(chan string, 16)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if who, ok, err := pair.Peer(r.TLS); ok && err == nil {
			name = who.Name
		}
		shown <- name
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"users": []}`))
	}))
	server.TLS = pair.Server()
	server.StartTLS()
	defer server.Close()
	node := certs.NodeURI("a")
	set := func(key, path string) []string { return []string{"--set", "node.tls." + key + "=" + path} }
	all := append(append(set("ca_file", files.CAFile), set("cert_file", files.CertFile)...), set("key_file", files.KeyFile)...)
	for _, c := range []struct {
		name string
		args []string
		want string // who was seen; or of the error
	}{
		{"flags", []string{"--ca", files.CAFile, "--cert", files.CertFile, "--key", files.KeyFile}, node},
		{"an authority alone", []string{"--ca", files.CAFile}, "nobody"},
		{"settings", all, node},
		{"nothing", nil, "--ca"},
		{"no such file", []string{"--ca", files.CAFile + ".gone"}, "no such file"},
		{"no certificate in it", []string{"--ca", files.KeyFile}, "has no certificate"},
		{"a certificate without its key", []string{"--ca", files.CAFile, "--cert", files.CertFile, "--key", files.CAFile}, "the certificate to show"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, errs := runCerts(t, append([]string{"user", "list", "--at", server.URL, "--set", "node.data_dir=" + t.TempDir()}, c.args...)...)
			select {
			case got := <-shown:
				if got != c.want || code != 0 {
					t.Errorf("seen was %q, want %q: %d %s", got, c.want, code, errs)
				}
			default:
				if code == 0 || !strings.Contains(errs, c.want) {
					t.Errorf("%d %s, want %s", code, errs, c.want)
				}
			}
		})
	}
	old := &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // it is to be refused
	if conn, err := tls.Dial("tcp", server.Listener.Addr().String(), old); err == nil {
		conn.Close()
		t.Error("TLS 1.2 was spoken")
	}
}
