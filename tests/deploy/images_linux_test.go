package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// consulEntrypoint is what the image of Consul does with its environment before it starts
// the agent.
const consulEntrypoint = `printf '%s' "$CONSUL_LOCAL_CONFIG" >/tmp/local.json
command=$1; shift
exec consul "$command" -data-dir=/consul/data -config-file=/tmp/local.json "$@"`

// cached is where a step of .ci has a server, which it builds or fetches once; what it says of
// that goes to its other output.
func cached(t *testing.T, server string) string {
	t.Helper()
	var said bytes.Buffer
	c := exec.CommandContext(t.Context(), filepath.Join("..", "..", ".ci", server))
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", server, err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// images are what stands for the images of compose.yaml: the program as the Dockerfile
// builds it, and servers that are installed here. There is no Grafana.
func images(t *testing.T, p project) map[string]image {
	t.Helper()
	jar, agent := cached(t, "questdb"), cached(t, "consul")
	return map[string]image{
		"marketprism": ours(t, p),
		"questdb/questdb": {
			system: true, uid: 10001, directory: "/", programs: map[string]string{"/opt/questdb.jar": jar},
			entrypoint: []string{"java", "-Xmx1g", "-XX:+UseParallelGC", "-XX:-UsePerfData", "-p", "/opt/questdb.jar", "-m", "io.questdb/io.questdb.ServerMain", "-d", "/var/lib/questdb"},
			// Small files, for a small machine.
			env:     map[string]string{"QDB_CAIRO_WRITER_DATA_APPEND_PAGE_SIZE": "1M", "QDB_CAIRO_O3_COLUMN_MEMORY_SIZE": "128K", "QDB_SHARED_WORKER_COUNT": "2"},
			stopped: 128 + int(syscall.SIGTERM), // as every Java machine
		},
		"hashicorp/consul": {
			system: true, uid: 100, directory: "/", programs: map[string]string{"/opt/image/consul": agent},
			entrypoint: []string{"/bin/sh", "-c", consulEntrypoint, "entrypoint"},
		},
		"versity/versitygw": {
			system: true, uid: 0, directory: "/", programs: map[string]string{"/opt/image/versitygw": cached(t, "versitygw")},
			entrypoint: []string{"/opt/image/versitygw"},
		},
		"prom/prometheus":   {system: true, uid: 65534, directory: "/prometheus", entrypoint: []string{tool(t, "prometheus")}},
		"prom/alertmanager": {system: true, uid: 65534, directory: "/alertmanager", entrypoint: []string{tool(t, "prometheus-alertmanager")}},
	}
}

// ours is the image of the Dockerfile, with a static binary.
func ours(t *testing.T, p project) image {
	t.Helper()
	user, _, _ := strings.Cut(p.Image.User, ":")
	uid, err := strconv.Atoi(user)
	if err != nil {
		t.Fatal(err)
	}
	return image{
		programs: map[string]string{p.Image.Entrypoint[0]: staticProgram(t)}, uid: uid, directory: p.Image.Directory,
		entrypoint: p.Image.Entrypoint, command: p.Image.Command, env: p.Image.Env,
	}
}

// staticProgram is the program as the Dockerfile builds it, for this machine:
// MARKETPRISM_BINARY, else a build.
func staticProgram(t *testing.T) string {
	t.Helper()
	path := os.Getenv("MARKETPRISM_BINARY")
	if path == "" {
		path = filepath.Join(t.TempDir(), "marketprism")
		build(t, "../..", path)
	}
	static(t, path)
	return path
}
