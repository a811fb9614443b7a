package parsers

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// secrets are what `prepare` writes into .env.
var secrets = []string{
	"NATS_PASSWORD=a", "QUESTDB_PASSWORD=b", "CONSUL_TOKEN=c", "CONSUL_MANAGEMENT_TOKEN=d", "GRAFANA_PASSWORD=e", "S3_SECRET=f",
}

func load(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	return Compose(t.Context(), deployed+"/compose.yaml", cli.WithEnv(env))
}

// TestCompose: compose takes the file, and it says for every service what a deployment
// needs: a pinned image, a check of health, a restart, data in named volumes.
func TestCompose(t *testing.T) {
	p, err := load(t, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"alertmanager", "consul", "consul-setup", "grafana", "node-1", "node-2", "node-3", "prometheus", "questdb", "s3"}
	if names := p.ServiceNames(); !slices.Equal(names, want) {
		t.Errorf("services %q, want %q", names, want)
	}
	for name, s := range p.Services {
		node := strings.HasPrefix(name, "node-")
		_, tag, pinned := strings.Cut(s.Image, ":")
		if !pinned || tag == "latest" && s.Build == nil {
			t.Errorf("%s: the image %s is not pinned", name, s.Image)
		}
		if s.HealthCheck == nil && name != "consul-setup" {
			t.Errorf("%s has no check of its health", name)
		}
		if want := map[bool]string{true: "no", false: "unless-stopped"}[name == "consul-setup"]; s.Restart != want {
			t.Errorf("%s: restart %q", name, s.Restart)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to everybody", name, port.Published)
			}
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind && !v.ReadOnly {
				t.Errorf("%s may write to %s", name, v.Source)
			}
		}
		if node {
			hardened(t, s)
		}
	}
	if len(p.Secrets) != 11 || len(p.Volumes) != 9 {
		t.Errorf("%d secrets, %d volumes", len(p.Secrets), len(p.Volumes))
	}
}

func hardened(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("%s may do more than it needs", s.Name)
	}
	// Without the configuration it would not trust the certificates.
	if health := strings.Join(s.HealthCheck.Test, " "); health != "CMD /usr/local/bin/marketprism status --ready -c "+s.Command[len(s.Command)-1] {
		t.Errorf("%s is asked for its health by %q", s.Name, health)
	}
	if s.StopGracePeriod == nil {
		t.Errorf("%s is killed while it stops", s.Name)
	}
	for key := range s.Environment {
		if strings.Contains(key, "PASSWORD") || strings.Contains(key, "TOKEN") {
			t.Errorf("%s: the secret %s is in the environment", s.Name, key)
		}
	}
}

// TestComposeWantsSecrets: without `prepare` nothing starts.
func TestComposeWantsSecrets(t *testing.T) {
	if _, err := load(t); err == nil || !strings.Contains(err.Error(), "run ./prepare") {
		t.Errorf("without secrets: %v", err)
	}
}

// TestGrafanaProvisioning: Grafana's files have no key that Grafana does not know, its data
// comes from the Prometheus of compose.yaml, and the dashboards are mounted where it looks.
func TestGrafanaProvisioning(t *testing.T) {
	p, err := load(t, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	mounted := map[string]string{} // path in the container -> path below deploy/
	root, err := filepath.Abs(deployed)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range p.Services["grafana"].Volumes {
		if v.Type == types.VolumeTypeBind {
			mounted[v.Target] = strings.TrimPrefix(v.Source, root+"/")
		}
	}
	if mounted["/etc/grafana/provisioning"] != "grafana/provisioning" {
		t.Fatalf("mounted: %q", mounted)
	}
	var sources struct {
		APIVersion  int `json:"apiVersion"`
		Datasources []struct {
			Name      string `json:"name"`
			UID       string `json:"uid"`
			Type      string `json:"type"`
			Access    string `json:"access"`
			URL       string `json:"url"`
			IsDefault bool   `json:"isDefault"`
			Editable  bool   `json:"editable"`
			JSONData  struct {
				HTTPMethod   string `json:"httpMethod"`
				TimeInterval string `json:"timeInterval"`
			} `json:"jsonData"`
		} `json:"datasources"`
	}
	var boards struct {
		APIVersion int `json:"apiVersion"`
		Providers  []struct {
			Name            string `json:"name"`
			Folder          string `json:"folder"`
			Type            string `json:"type"`
			DisableDeletion bool   `json:"disableDeletion"`
			AllowUIUpdates  bool   `json:"allowUiUpdates"`
			Options         struct {
				Path string `json:"path"`
			} `json:"options"`
		} `json:"providers"`
	}
	for name, into := range map[string]any{"datasources/prometheus.yaml": &sources, "dashboards/marketprism.yaml": &boards} {
		if err := yaml.UnmarshalStrict(read(t, "grafana/provisioning/"+name), into); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(sources.Datasources) != 1 || len(boards.Providers) != 1 {
		t.Fatalf("read %+v and %+v", sources, boards)
	}
	from, err := url.Parse(sources.Datasources[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := p.Services[from.Hostname()]; !there || from.Port() != "9090" || sources.Datasources[0].Type != "prometheus" || !sources.Datasources[0].IsDefault {
		t.Errorf("the data comes from %+v", sources.Datasources[0])
	}
	if from := mounted[boards.Providers[0].Options.Path]; from != "grafana/dashboards" || boards.Providers[0].Type != "file" {
		t.Errorf("dashboards are looked for in %s, where %q is mounted", boards.Providers[0].Options.Path, from)
	}
}
