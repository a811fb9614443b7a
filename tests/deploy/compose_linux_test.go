package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// project is what Docker Compose would start, as its own parser reads it: the output of
// parsers/project.
type project struct {
	Project struct {
		Services map[string]service `json:"services"`
		Secrets  map[string]struct {
			File        string `json:"file"`
			Environment string `json:"environment"`
		} `json:"secrets"`
	} `json:"project"`
	Environment map[string]string `json:"environment"`
	Image       struct {
		User       string            `json:"user"`
		Directory  string            `json:"directory"`
		Entrypoint []string          `json:"entrypoint"`
		Command    []string          `json:"command"`
		Health     []string          `json:"health"`
		Env        map[string]string `json:"env"`
		Volumes    []string          `json:"volumes"`
	} `json:"image"`
}

type service struct {
	Image       string            `json:"image"`
	Profiles    []string          `json:"profiles"`
	Command     []string          `json:"command"`
	Entrypoint  []string          `json:"entrypoint"`
	Environment map[string]string `json:"environment"`
	ReadOnly    bool              `json:"read_only"`
	Tmpfs       []string          `json:"tmpfs"`
	StopWithin  string            `json:"stop_grace_period"`
	Ports       []struct {
		Host      string `json:"host_ip"`
		Published string `json:"published"`
		Target    int    `json:"target"`
	} `json:"ports"`
	Volumes []struct {
		Type     string `json:"type"`
		Source   string `json:"source"`
		Target   string `json:"target"`
		ReadOnly bool   `json:"read_only"`
	} `json:"volumes"`
	Secrets []struct {
		Source string `json:"source"`
		Target string `json:"target"`
		UID    string `json:"uid"`
		Mode   string `json:"mode"`
	} `json:"secrets"`
	Health *struct {
		Test []string `json:"test"`
	} `json:"healthcheck"`
	After map[string]struct {
		Condition string `json:"condition"`
	} `json:"depends_on"`
}

// readProject reads a directory's compose.yaml and Dockerfile.
func readProject(t *testing.T, dir string) (p project) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", "run", "./project", dir)
	c.Dir, c.Stderr = "parsers", os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go run ./project: %v", err)
	}
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// image is what stands for an image of a registry.
type image struct {
	programs   map[string]string // path in the container -> path here
	system     bool              // it has the machine's own programs
	uid        int
	directory  string
	entrypoint []string
	command    []string
	env        map[string]string
	stopped    int // exit code when it was asked to stop
}

// composition is a deployment that runs as compose.yaml says.
type composition struct {
	t   *testing.T
	dir string // of compose.yaml
	project
	m         *machine
	images    map[string]image // by the name before the tag
	all       map[string]*container
	volumes   string
	published map[string]string // host:port -> address of a container
}

// compose prepares the services that there is an image for.
func compose(t *testing.T, m *machine, dir string, p project, images map[string]image) *composition {
	c := &composition{t: t, dir: dir, project: p, m: m, images: images, all: map[string]*container{}, volumes: t.TempDir(), published: map[string]string{}}
	for _, name := range c.names() {
		m.name(name)
		for _, port := range p.Project.Services[name].Ports {
			c.published[port.Host+":"+port.Published] = fmt.Sprint(m.names[name], ":", port.Target)
		}
	}
	return c
}

// names are the services that there is an image for.
func (c *composition) names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Project.Services)), func(name string) bool {
		_, there := c.imageOf(c.Project.Services[name])
		return !there
	})
}

func (c *composition) imageOf(s service) (image, bool) {
	name, _, _ := strings.Cut(s.Image, ":")
	i, there := c.images[name]
	return i, there
}

// up starts services as `docker compose up --wait` does, what they depend on first, and
// waits until all are well. With nothing named it starts all that have no profile.
func (c *composition) up(names ...string) {
	c.t.Helper()
	if len(names) == 0 {
		names = slices.DeleteFunc(c.names(), func(name string) bool { return len(c.Project.Services[name].Profiles) > 0 })
	}
	for _, name := range names {
		c.start(name)
	}
	for _, name := range names {
		c.await(name, "service_healthy")
	}
}

func (c *composition) start(name string) {
	c.t.Helper()
	if c.all[name] != nil {
		return
	}
	s := c.Project.Services[name]
	for before, depends := range s.After {
		c.start(before)
		c.await(before, depends.Condition)
	}
	i, there := c.imageOf(s)
	if !there {
		c.t.Fatalf("%s: nothing stands for the image %s", name, s.Image)
	}
	made := &container{name: name, uid: i.uid, directory: i.directory, env: []string{"PATH=/opt/image:/usr/local/bin:/usr/bin:/bin", "HOSTNAME=" + name}}
	made.entrypoint = slices.Concat(i.entrypoint, i.command)
	if len(s.Command) > 0 {
		made.entrypoint = slices.Concat(i.entrypoint, s.Command)
	}
	if len(s.Entrypoint) > 0 {
		made.entrypoint = slices.Concat(s.Entrypoint, s.Command)
	}
	for _, env := range []map[string]string{i.env, s.Environment} {
		for k, v := range env { // of two the later counts
			made.env = append(made.env, k+"="+v)
		}
	}
	c.m.contain(made, func(r rootfs) error { return c.lay(r, s, i) })
	c.all[name] = made
	made.start()
}

// lay puts into a container's root what the service has.
func (c *composition) lay(r rootfs, s service, i image) error {
	var errs []error
	if i.system {
		errs = append(errs, r.system())
	}
	for target, path := range i.programs {
		errs = append(errs, r.bind(path, target, true))
	}
	for _, target := range s.Tmpfs {
		errs = append(errs, r.open(target))
	}
	for _, v := range s.Volumes {
		source := v.Source
		if v.Type == "volume" {
			source = filepath.Join(c.volumes, v.Source)
			// As the image has it, which a volume that is new takes over.
			errs = append(errs, os.MkdirAll(source, 0o755), os.Chown(source, i.uid, i.uid))
		}
		errs = append(errs, r.bind(source, v.Target, v.ReadOnly))
	}
	for _, v := range s.Secrets {
		target := v.Target
		if !filepath.IsAbs(target) {
			target = "/run/secrets/" + target
		}
		from := c.Project.Secrets[v.Source]
		if from.File != "" { // it keeps its owner and mode
			errs = append(errs, r.bind(from.File, target, true))
			continue
		}
		owner, err := strconv.Atoi(v.UID)
		mode, err2 := strconv.ParseUint(v.Mode, 8, 32)
		errs = append(errs, err, err2, r.put(target, c.Environment[from.Environment], owner, os.FileMode(mode)))
	}
	if s.ReadOnly {
		errs = append(errs, r.seal())
	}
	return errors.Join(errs...)
}

// await waits until a service is as another that depends on it wants it.
func (c *composition) await(name, condition string) {
	c.t.Helper()
	s, at := c.Project.Services[name], c.all[name]
	if condition == "service_completed_successfully" || s.Health == nil {
		harness.Await(c.t, time.Minute, "the end of "+name, at.ended)
		if code := at.cmd.ProcessState.ExitCode(); code != 0 {
			c.t.Fatalf("%s ended with %d", name, code)
		}
		return
	}
	check := s.Health.Test[1:]
	if s.Health.Test[0] == "CMD-SHELL" {
		check = []string{"/bin/sh", "-c", s.Health.Test[1]}
	}
	harness.Await(c.t, 2*time.Minute, name+" to be healthy", func() bool {
		if at.ended() {
			c.t.Fatalf("%s ended with %d", name, at.cmd.ProcessState.ExitCode())
		}
		if _, code := at.run(check...); code == 0 {
			return true
		}
		harness.Pause(c.t, time.Second) // a check is a process
		return false
	})
}

// down stops services, and fails when one that is asked to stop does not end well in the
// time that it is given.
func (c *composition) down(names ...string) {
	c.t.Helper()
	for _, name := range names {
		within := 10 * time.Second // of Docker
		if said := c.Project.Services[name].StopWithin; said != "" {
			var err error
			if within, err = time.ParseDuration(said); err != nil {
				c.t.Fatal(err)
			}
		}
		i, _ := c.imageOf(c.Project.Services[name])
		if code := c.all[name].stop(within); code != i.stopped {
			c.t.Errorf("%s stops with exit code %d", name, code)
		}
	}
}
