package deploy

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// management is the token of whoever sets a Consul up, in tests.
const management = "7c1d6a0e-6f0b-4a41-9c5d-2f6a3b1c0d01"

// consul starts an agent with deploy's configuration, and makes a token by its policy; it
// returns the agent's address and the file with the token.
func consul(t *testing.T) (address, tokenFile string) {
	t.Helper()
	binary := strings.TrimSpace(must(t, nil, "../../.ci/consul"))
	dir := t.TempDir()
	ports := freePorts(t, 3)
	process(t, binary, "agent", "-config-file="+filepath.Join(deployed, "consul/server.hcl"),
		"-data-dir="+dir, "-node=agent", "-bind=127.0.0.1", "-client=127.0.0.1", "-log-level=warn", "-disable-host-node-id",
		fmt.Sprint("-http-port=", ports[0]), fmt.Sprint("-server-port=", ports[1]), fmt.Sprint("-serf-lan-port=", ports[2]),
		"-serf-wan-port=-1", "-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1",
		"-hcl", fmt.Sprintf("acl { tokens { initial_management = %q, agent = %q } }", management, management))
	address = fmt.Sprint("127.0.0.1:", ports[0])
	harness.Await(t, time.Minute, "a Consul that trusts its manager", func() bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/health/state/passing", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Consul-Token", management)
		a, err := harness.Do(t.Context(), r)
		return err == nil && a.Status == http.StatusOK && strings.Contains(string(a.Body), "serfHealth")
	})
	secret, bin := "1f0a9c52-0a65-4a35-8a9b-5d7e9f2c4b02", t.TempDir()
	if err := os.Symlink(binary, filepath.Join(bin, "consul")); err != nil {
		t.Fatal(err)
	}
	env := []string{"CONSUL_HTTP_ADDR=" + address, "CONSUL_HTTP_TOKEN=" + management, "CONSUL_TOKEN=" + secret, "PATH=" + bin + ":" + os.Getenv("PATH")}
	for range 2 { // it may run again
		must(t, env, "/bin/sh", filepath.Join(deployed, "consul/setup.sh"), filepath.Join(deployed, "consul/marketprism.hcl"))
	}
	tokenFile = filepath.Join(t.TempDir(), "token")
	write(t, tokenFile, secret)
	return address, tokenFile
}

// freePorts are ports that nothing listens on.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	var held []net.Listener // all at once, so that they differ
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	for _, l := range held {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return ports
}
