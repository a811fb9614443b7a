package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestSettings: the program takes every setting that is deployed: each key exists, each
// value is allowed, each secret is there.
func TestSettings(t *testing.T) {
	t.Run("compose", composed)
	t.Run("kubernetes", func(t *testing.T) {
		var c struct {
			Data map[string]string `yaml:"data"`
		}
		decode(t, filepath.Join(deployed, "kubernetes/configuration.yaml"), &c)
		at := newPlace(t)
		write(t, at.services, at.moved(c.Data["services.yaml"]))
		at.check(t, []string{"MARKETPRISM_NODE__ID=marketprism-0", "MARKETPRISM_NODE__ADVERTISE=10.1.2.3"})
	})
	t.Run("systemd", func(t *testing.T) {
		at := newPlace(t)
		write(t, at.services, "{}\n")
		var env []string
		for line := range strings.Lines(text(t, filepath.Join(deployed, "systemd/marketprism.service"))) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "Environment="); ok {
				env = append(env, at.moved(v))
			}
		}
		at.check(t, env)
	})
	t.Run("production", func(t *testing.T) { example(t, "production") })
	t.Run("development", func(t *testing.T) { example(t, "development") })
	t.Run("what is wrong is refused", func(t *testing.T) {
		at := newPlace(t)
		write(t, at.services, "node: {lissten: 0.0.0.0}\n")
		if out, err := at.run(t, "check", nil); err == nil {
			t.Errorf("an unknown key is taken: %s", out)
		}
	})
}

var suggested = regexp.MustCompile(`(?m)^# (MARKETPRISM_[A-Z0-9_]+__[A-Z0-9_]+=)`)

// example checks an example of variables, with those that it has as comments: the program
// takes it, and every one of them decides a setting.
func example(t *testing.T, environment string) {
	at := newPlace(t)
	write(t, at.services, "{}\n")
	variables := suggested.ReplaceAllString(at.moved(text(t, "../../config/.env."+environment+".example")), "$1")
	write(t, filepath.Join(at.dir, ".env."+environment), variables)
	write(t, filepath.Join(at.dir, "secrets/nats_password"), "of-a-test-0000")
	env := []string{"MARKETPRISM_ENV=" + environment}
	at.check(t, env)
	shown, err := at.run(t, "show", env, "--origin")
	if err != nil {
		t.Fatalf("config show: %v\n%s", err, shown)
	}
	count := 0
	for line := range strings.Lines(variables) {
		name, _, set := strings.Cut(strings.TrimSpace(line), "=")
		if !set || strings.HasPrefix(name, "#") {
			continue
		}
		if count++; !strings.Contains(shown, ": "+name+"\n") && !strings.Contains(shown, ": "+name+" ") {
			t.Errorf("%s decides nothing", name)
		}
	}
	if count < 8 {
		t.Errorf("%d variables in\n%s", count, variables)
	}
}

// composed checks each node of compose.yaml with its file, environment and secrets.
func composed(t *testing.T) {
	var c struct {
		Services map[string]struct {
			Environment map[string]string `yaml:"environment"`
			Command     []string          `yaml:"command"`
			Secrets     []struct {
				Source string `yaml:"source"`
				Target string `yaml:"target"`
			} `yaml:"secrets"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal([]byte(text(t, filepath.Join(deployed, "compose.yaml"))), &c); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		name := fmt.Sprint("node-", i+1)
		t.Run(name, func(t *testing.T) {
			node := c.Services[name]
			at := newPlace(t)
			write(t, at.services, at.moved(text(t, filepath.Join(deployed, "compose/services.yaml"))))
			var env []string
			for k, v := range node.Environment {
				env = append(env, k+"="+at.moved(v))
			}
			for _, s := range node.Secrets {
				file := s.Target
				if file == "" {
					file = s.Source
				}
				write(t, filepath.Join(at.dir, "secrets", file), "of-a-test-0000")
			}
			if len(node.Environment) < 2 || len(node.Secrets) < 6 || len(node.Command) < 3 {
				t.Fatalf("read %+v", node)
			}
			at.check(t, env)
		})
	}
}

// place is a directory that stands for a container's file system.
type place struct{ dir, services string }

func newPlace(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"data", "secrets"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return place{dir, filepath.Join(dir, "services.yaml")}
}

// moved is a text with a container's directories here.
func (p place) moved(text string) string {
	return strings.NewReplacer("/var/lib/marketprism", filepath.Join(p.dir, "data"), "./data", filepath.Join(p.dir, "data"),
		"/run/secrets", filepath.Join(p.dir, "secrets")).Replace(text)
}

func (p place) check(t *testing.T, env []string) {
	t.Helper()
	if out, err := p.run(t, "check", env); err != nil {
		t.Errorf("config check: %v\n%s", err, out)
	}
}

// run runs a command of config with an environment and no more than that.
func (p place) run(t *testing.T, command string, env []string, flags ...string) (string, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), harness.Program(t), append([]string{"config", command, "-c", p.services}, flags...)...)
	c.Env, c.Dir = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir}, env...), p.dir
	out, err := c.CombinedOutput()
	return string(out), err
}
