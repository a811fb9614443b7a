package config_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
)

var update = flag.Bool("update", false, "write the golden files and the published schemas")

// load reads services.yaml with the given text from a folder of its own.
func load(t *testing.T, services string, o config.Options) (*config.Loaded, error) {
	t.Helper()
	o.Dir = t.TempDir()
	if services != "" {
		write(t, filepath.Join(o.Dir, "config", "services.yaml"), services)
	}
	return config.Load(o)
}

func mustLoad(t *testing.T, services string, o config.Options) *config.Loaded {
	t.Helper()
	l, err := load(t, services, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// problems loads what must be refused and returns its errors.
func problems(t *testing.T, services string, o config.Options) config.Errors {
	t.Helper()
	_, err := load(t, services, o)
	var all config.Errors
	if !errors.As(err, &all) {
		t.Fatalf("got error %v, want config.Errors", err)
	}
	return all
}

func TestGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no good files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if _, err := config.Load(config.Options{Path: file, Dir: t.TempDir()}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := config.Load(config.Options{Path: file})
			if err == nil {
				t.Fatal("accepted")
			}
			got := err.Error() + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				write(t, golden, got)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestDocumentedForm(t *testing.T) {
	for _, file := range []string{"documented_form.yaml", "documented_form_grouped.yaml"} {
		t.Run(file, func(t *testing.T) {
			l, err := config.Load(config.Options{Path: filepath.Join("testdata/good", file), Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			hot, cold := l.Config.Storage.Storage.Hot, l.Config.Storage.Storage.Cold
			if hot.TTLHours != 1 || hot.MaxSizeMB != 1000 || cold.TTLDays != 30 || l.Config.Scheduler.Scheduler.MaxConcurrentTasks != 10 {
				t.Errorf("got %+v, %+v, %+v", hot, cold, l.Config.Scheduler)
			}
			var named []string
			for _, n := range l.Notices {
				named = append(named, n.Path)
			}
			want := []string{"data-storage-service.storage.hot_storage.max_size_mb", "scheduler-service.scheduler.check_interval_seconds"}
			if !slices.Equal(named, want) {
				t.Errorf("notices name %q, want %q", named, want)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config/services.yaml"), "log: {level: warn}\nnode: {id: file, advertise: file.example}\ndata-storage-service: {port: 1001}\nscheduler-service: {port: 2001}\n")
	write(t, filepath.Join(dir, "config/.env.test"), "# comment\nexport MARKETPRISM_NODE__ID=dotenv\nMARKETPRISM_DATA_STORAGE_SERVICE__PORT=1002\nMARKETPRISM_SCHEDULER_SERVICE__PORT=2002\nOTHER=x\n")
	l, err := config.Load(config.Options{
		Dir:     dir,
		Environ: []string{"MARKETPRISM_ENV=test", "MARKETPRISM_DATA_STORAGE_SERVICE__PORT=1003", "MARKETPRISM_SCHEDULER_SERVICE__PORT=2003", "PATH=/bin"},
		Flags:   []config.Override{{Path: "scheduler-service.port", Text: "2004", Name: "port"}, {Path: "log.format", Text: "json", Name: "log-format"}},
		Runtime: []config.Override{{Path: "log.format", Text: "console", Name: "dev"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range l.Settings() {
		got[s.Path] = s.Value + " from " + s.Origin.String()
	}
	file := filepath.Join(dir, "config/services.yaml")
	want := map[string]string{
		"node.listen":                "127.0.0.1 from default",
		"log.level":                  "warn from " + file + ":1:14",
		"node.advertise":             "file.example from " + file + ":2:29",
		"node.id":                    "dotenv from " + filepath.Join(dir, "config/.env.test") + ":2: MARKETPRISM_NODE__ID",
		"data-storage-service.port":  "1003 from env MARKETPRISM_DATA_STORAGE_SERVICE__PORT",
		"scheduler-service.port":     "2004 from flag --port",
		"log.format":                 "console from runtime (dev)",
		"monitoring-service.port":    "8084 from default",
		"market-data-collector.port": "8082 from default",
	}
	for path, w := range want {
		if got[path] != w {
			t.Errorf("%s: got %q, want %q", path, got[path], w)
		}
	}
	if o, ok := l.Origin("node.id"); !ok || o.Line != 2 || o.Source != config.SourceDotEnv {
		t.Errorf("Origin(node.id) = %+v, %v", o, ok)
	}
	if _, ok := l.Origin("node.nothing"); ok {
		t.Error("Origin knows node.nothing")
	}
	if o, ok := l.Origin("exchanges.binance.enabled"); !ok || o.Source != config.SourceDefault || o.File != "exchanges/binance.yaml" || o.Line == 0 {
		t.Errorf("Origin(exchanges.binance.enabled) = %+v, %v", o, ok)
	}
	if l.File != file {
		t.Errorf("File = %q", l.File)
	}
}

func TestExchangeFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config/exchanges/okx.yaml"), "markets:\n  spot: {ws_url: 'wss://ws.okx.com:8443', rest_url: 'https://www.okx.com', symbols: [BTC-USDT], watchdog: {enabled: true}, reconnect: {initial_wait: 1s, max_wait: 1m, dial_timeout: 9s, ack_timeout: 9s, replace_before: 9m, healthy_after: 1m}, rate_limits: {rest_weight_per_minute: 600, ws_messages_per_second: 3, ws_connects_per_5_minutes: 60, streams_per_connection: 100}, depth: 400}\n")
	write(t, filepath.Join(dir, "config/exchanges/binance.yaml"), "markets: {spot: {symbols: [SOL-USDT]}}\n")
	write(t, filepath.Join(dir, "config/exchanges/notes.txt"), "not an exchange")
	l, err := config.Load(config.Options{Dir: dir, Environ: []string{"MARKETPRISM_EXCHANGES__BINANCE__MARKETS__PERPETUAL__SYMBOLS=BTC-USDT, XRP-USDT"}})
	if err != nil {
		t.Fatal(err)
	}
	spot := l.Config.Exchanges["binance"].Markets["spot"]
	if fmt.Sprint(spot.Symbols) != "[SOL-USDT]" || spot.WSURL == "" {
		t.Errorf("spot = %+v, want the built-in one with other symbols", spot)
	}
	if got := fmt.Sprint(l.Config.Exchanges["binance"].Markets["perpetual"].Symbols); got != "[BTC-USDT XRP-USDT]" {
		t.Errorf("perpetual symbols = %s", got)
	}
	if okx := l.Config.Exchanges["okx"]; okx.Markets["spot"].Depth != 400 {
		t.Errorf("okx = %+v", okx)
	}
	if len(l.Notices) != 1 || !strings.Contains(l.Notices[0].String(), "notes.txt") {
		t.Errorf("notices = %v, want one about notes.txt", l.Notices)
	}
}

func TestVariables(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "password"), "hunter2\n")
	cases := []struct {
		name    string
		environ []string
		path    string
		value   string
		err     string
	}{
		{name: "port", environ: []string{"MARKETPRISM_MESSAGE_BROKER_SERVICE__NATS__PORT=5222"}, path: "message-broker-service.nats.port", value: "5222"},
		{name: "comma list", environ: []string{"MARKETPRISM_EXCHANGES__BINANCE__MARKETS__SPOT__SYMBOLS=A-B, C-D"}, path: "exchanges.binance.markets.spot.symbols", value: "[A-B, C-D]"},
		{name: "json list", environ: []string{`MARKETPRISM_EXCHANGES__BINANCE__MARKETS__SPOT__SYMBOLS=["A-B","C-D"]`}, path: "exchanges.binance.markets.spot.symbols", value: "[A-B, C-D]"},
		{name: "json section", environ: []string{`MARKETPRISM_LOG={"level":"debug"}`, `MARKETPRISM_MESSAGE_BROKER_SERVICE__NATS={"mode":"external","url":"nats://h:1"}`}, path: "message-broker-service.nats.url", value: "nats://h:1"},
		{name: "size", environ: []string{"MARKETPRISM_DATA_STORAGE_SERVICE__JOURNAL__MAX_BYTES=1GiB"}, path: "data-storage-service.journal.max_bytes", value: "1GiB"},
		{name: "days", environ: []string{"MARKETPRISM_EXCHANGES__BINANCE__MARKETS__SPOT__RECONNECT__REPLACE_BEFORE=1d"}, path: "exchanges.binance.markets.spot.reconnect.replace_before", value: "24h"},
		{name: "secret file", environ: []string{"MARKETPRISM_MESSAGE_BROKER_SERVICE__NATS__PASSWORD_FILE=" + filepath.Join(dir, "password")}, path: "message-broker-service.nats.password", value: "[redacted]"},
		{name: "not ours", environ: []string{"MARKETPRISM_CAPTURES=/x", "MARKETPRISM_SERVICE_HOST=10.0.0.1"}, path: "node.id", value: `""`},
		{name: "misspelt", environ: []string{"MARKETPRISM_NODE__DATADIR=/x"}, err: "env MARKETPRISM_NODE__DATADIR: node.datadir: unknown key; did you mean MARKETPRISM_NODE__DATA_DIR?"},
		{name: "roles", environ: []string{"MARKETPRISM_CLUSTER__ROLES=collector,storage"}, err: "env MARKETPRISM_CLUSTER__ROLES: cluster.roles: unknown key: which services a node runs is said by the arguments of its start, such as `marketprism start"},
		{name: "one underscore", environ: []string{"MARKETPRISM_LOG_LEVEL=debug"}, err: "env MARKETPRISM_LOG_LEVEL: not a setting; did you mean MARKETPRISM_LOG__LEVEL?"},
		{name: "wrong type", environ: []string{"MARKETPRISM_API_GATEWAY_SERVICE__PORT=http"}, err: `env MARKETPRISM_API_GATEWAY_SERVICE__PORT: api-gateway-service.port: found "http"; allowed: an integer from 0 to 65535`},
		{name: "empty number", environ: []string{"MARKETPRISM_API_GATEWAY_SERVICE__PORT="}, err: `found ""`},
		{name: "bad json", environ: []string{"MARKETPRISM_EXCHANGES__BINANCE__MARKETS__SPOT__SYMBOLS=[A"}, err: "not valid JSON"},
		{name: "a section is no text", environ: []string{"MARKETPRISM_NODE__ID__X=1"}, err: "node.id"},
		{name: "secret twice", environ: []string{"MARKETPRISM_MESSAGE_BROKER_SERVICE__NATS__PASSWORD=a", "MARKETPRISM_MESSAGE_BROKER_SERVICE__NATS__PASSWORD_FILE=b"}, err: "given twice, also by MARKETPRISM_MESSAGE_BROKER_SERVICE__NATS__PASSWORD"},
		{name: "secret file is missing", environ: []string{"MARKETPRISM_MESSAGE_BROKER_SERVICE__NATS__PASSWORD_FILE=/nonexistent"}, err: "no such file"},
		{name: "a file for what is no secret", environ: []string{"MARKETPRISM_NODE__ID_FILE=/etc/hostname"}, err: "node.id_file: unknown key"},
		{name: "environment outside the folder", environ: []string{"MARKETPRISM_ENV=../../etc/passwd"}, err: "the name of an environment"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			l, err := load(t, "", config.Options{Environ: tc.environ})
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(l.Settings(), func(s config.Setting) bool { return s.Path == tc.path })
			if i < 0 || l.Settings()[i].Value != tc.value {
				t.Errorf("settings %v: want %s = %s", l.Settings(), tc.path, tc.value)
			}
		})
	}
}

func TestMissingEnvironmentFileIsSaid(t *testing.T) {
	l := mustLoad(t, "", config.Options{Environ: []string{"MARKETPRISM_ENV=staging"}})
	if len(l.Notices) != 1 || !strings.Contains(l.Notices[0].Text, ".env.staging does not exist") {
		t.Errorf("notices = %v", l.Notices)
	}
}

func TestBrokenEnvironmentFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config/.env.production"), "MARKETPRISM_LOG__LEVEL=\"unterminated\nX")
	_, err := config.Load(config.Options{Dir: dir, Environ: []string{"MARKETPRISM_ENV=production"}})
	if err == nil || !strings.Contains(err.Error(), ".env.production") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func TestNamedFileMustExist(t *testing.T) {
	_, err := config.Load(config.Options{Path: filepath.Join(t.TempDir(), "none.yaml")})
	if err == nil || !strings.Contains(err.Error(), "none.yaml: cannot be read: no such file or directory") {
		t.Errorf("got %v", err)
	}
}

func TestDataDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, "x")
	sealed := filepath.Join(dir, "sealed")
	if err := os.Mkdir(sealed, 0o500); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, dir, want string }{
		{"to be made", filepath.Join(dir, "a/b/c"), ""},
		{"a file", file, "is not a directory"},
		{"below a file", filepath.Join(file, "data"), "directory"},
		{"not ours", filepath.Join(sealed, "data"), "cannot be written"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "not ours" && os.Geteuid() == 0 {
				t.Skip("root may write everywhere")
			}
			_, err := load(t, fmt.Sprintf("node: {data_dir: %q}\n", tc.dir), config.Options{})
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), "services.yaml:1:18: node.data_dir: ") || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %q at 1:18", err, tc.want)
			}
		})
	}
}

func TestPortsOfOneProcess(t *testing.T) {
	if _, err := load(t, "message-broker-service: {nats: {mode: external, url: 'nats://h:4222', port: 8080}}\n", config.Options{}); err != nil {
		t.Errorf("an external server has no port here: %v", err)
	}
	if _, err := load(t, "scheduler-service: {port: 0}\napi-gateway-service: {port: 0}\n", config.Options{}); err != nil {
		t.Errorf("0 is any free port: %v", err)
	}
	for where, text := range map[string]string{
		"message-broker-service.nats.cluster.port": "message-broker-service: {nats: {cluster: {bootstrap_expect: 3, port: 8080}, username: md, password: a-long-word}}\n",
		"cluster.remoting.port":                    "cluster: {provider: consul, remoting: {port: 8080}}\n",
	} {
		if errs := problems(t, text, config.Options{}); len(errs) != 1 || errs[0].Path != where {
			t.Errorf("%s: %v", where, errs)
		}
	}
	errs := problems(t, "data-storage-service: {port: 8083}\n", config.Options{})
	if len(errs) != 1 || errs[0].Path != "data-storage-service.port" || errs[0].At.Line != 1 || !strings.Contains(errs[0].Problem, "api-gateway-service.port too (default)") {
		t.Errorf("got %v, want one error where the file gives the port", errs)
	}
}

func TestCheck(t *testing.T) {
	var out strings.Builder
	if err := config.Check(&out, config.Options{Path: "testdata/good/documented_form.yaml", Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"documented_form.yaml: ok, 6 settings given", "check_interval_seconds: has no effect"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %q, want %q in it", out.String(), want)
		}
	}
	if err := config.Check(&out, config.Options{Path: "testdata/bad/ports.yaml"}); err == nil {
		t.Error("a bad file passes")
	}
	shared := filepath.Join(t.TempDir(), "services.yaml")
	write(t, shared, "cluster: {provider: consul}\ndata-storage-service:\n  engine: questdb\n")
	var errs config.Errors
	if err := config.Check(&out, config.Options{Path: shared}); !errors.As(err, &errs) || len(errs) != 1 || errs[0].Path != "data-storage-service.engine" || errs[0].At.Line != 3 {
		t.Errorf("archives that the other nodes cannot read: %v", err)
	}
	if err := config.Check(&out, config.Options{Path: shared}, cluster.Collector); err != nil {
		t.Errorf("a node that stores nothing: %v", err)
	}
}

// TestColdOfItsOwn: nodes that share a QuestDB do not have cold stores of their own.
func TestColdOfItsOwn(t *testing.T) {
	listed := func(places ...string) func(*config.Config) {
		return func(c *config.Config) { c.Cluster.Services = cluster.Addresses{Storage: places} }
	}
	inConsul := func(c *config.Config) { c.Cluster.Provider = cluster.ProviderConsul }
	for name, c := range map[string]struct {
		changes []func(*config.Config)
		refused bool
	}{
		"a cluster": {[]func(*config.Config){inConsul}, true},
		"a list":    {[]func(*config.Config){listed("127.0.0.1:1", "127.0.0.1:2")}, true},
		"a list of nodes that do not archive": {[]func(*config.Config){listed("127.0.0.1:1", "127.0.0.1:2"), func(c *config.Config) {
			c.Storage.Storage.Lifecycle.Archive = false
		}}, false},
		"a list of one": {[]func(*config.Config){listed("127.0.0.1:1")}, false},
		"one alone":     {nil, false},
		"a cluster with a bucket": {[]func(*config.Config){inConsul, func(c *config.Config) {
			s3 := &c.Storage.Storage.Cold.S3
			s3.Endpoint, s3.Bucket = "127.0.0.1:9000", "market"
		}}, false},
		"an embedded store": {[]func(*config.Config){inConsul, func(c *config.Config) { c.Storage.Engine = config.EngineEmbedded }}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			cfg.Storage.Engine = config.EngineQuestDB
			for _, change := range c.changes {
				change(&cfg)
			}
			if refused := cfg.ColdOfItsOwn(); refused != c.refused {
				t.Errorf("refused: %t", refused)
			}
		})
	}
}

// FuzzLoad: no file makes Load panic, hang or accept what it cannot show again.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "services.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	dir := f.TempDir()
	file := filepath.Join(dir, "services.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		write(t, file, text)
		l, err := config.Load(config.Options{Path: file, Dir: dir})
		if err != nil {
			return
		}
		var shown strings.Builder
		if err := l.Show(&shown, false); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(shown.String(), "[redacted]") {
			return
		}
		write(t, file, shown.String())
		again, err := config.Load(config.Options{Path: file, Dir: dir})
		if err != nil {
			t.Fatalf("what was shown is refused: %v\n%s", err, shown.String())
		}
		if got, want := fmt.Sprintf("%+v", again.Config), fmt.Sprintf("%+v", l.Config); got != want {
			t.Fatalf("shown and read again:\n%s\nwant\n%s", got, want)
		}
	})
}
