package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/http/client"
	"github.com/marketprism/marketprism/internal/app"
)

const (
	keyVariable     = "MARKETPRISM_API_KEY"
	keyFileVariable = "MARKETPRISM_API_KEY_FILE"
	apiPath         = "/api/v1/"
)

// The codes of a refusal that a credential helps against: of a service, which answers
// the gateway or nodes only, and of the gateway.
const (
	askTheGateway = "no_identity"
	showYourNode  = "no_certificate"
	showWhoYouAre = "no_credential"
)

// caller sends the requests of a command. Whoever asks who the command is gets the API
// key of the environment, else the login that the first start made; a service that
// answers the gateway only is asked through that. Where nobody asks, nothing is shown.
type caller struct {
	client   *http.Client
	settings settings
	streams  streams
	secure   secureOptions

	mu      sync.Mutex
	loaded  *config.Loaded
	through map[string]passage // by scheme://host of what was asked
	token   string             // of the first login
}

// passage is how a service is asked that wants to know who asks.
type passage struct {
	gateway string // base address
	service string // name; "" for the gateway itself
}

type callerKey struct{}

// newCaller makes the caller of a command, of whose settings it knows where the gateway
// is.
func newCaller(c *cobra.Command, s streams, secure secureOptions) *caller {
	s.err = io.Discard // the command itself says what is to be said of its settings
	k := &caller{streams: s, secure: secure, through: map[string]passage{}}
	k.client = &http.Client{
		Transport:     k.secureTransport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if f := c.Flags().Lookup("config"); f != nil {
		k.settings.file = f.Value.String()
	}
	// A command without the flag has no such settings.
	k.settings.set, _ = c.Flags().GetStringArray("set")
	return k
}

// Do sends a request of a command. It implements [client.Doer].
func (k *caller) Do(r *http.Request) (*http.Response, error) {
	base := r.URL.Scheme + "://" + r.URL.Host
	k.mu.Lock()
	p, known := k.through[base]
	k.mu.Unlock()
	if !known {
		res, err := k.client.Do(r)
		if err != nil || res.StatusCode != http.StatusUnauthorized {
			return res, err
		}
		var found bool
		if p, found, err = k.passage(r.Context(), base, res); err != nil {
			return nil, err
		}
		if !found {
			return res, nil
		}
		k.mu.Lock()
		k.through[base] = p
		k.mu.Unlock()
	}
	res, err := k.send(r, p)
	if err != nil || res.StatusCode != http.StatusUnauthorized || !k.forget() {
		return res, err
	}
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	return k.send(r, p) // the login of before has ended
}

// maxRefusal is how much of an answer that says no is read.
const maxRefusal = 64 << 10

// passage finds out how to ask again whoever has answered 401; false when that would not
// help, and the answer is to be read.
func (k *caller) passage(ctx context.Context, base string, res *http.Response) (p passage, found bool, err error) {
	text, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return p, false, fmt.Errorf("reading the answer of %s: %w", base, err)
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	var problem struct{ Code string }
	if json.Unmarshal(text, &problem) != nil {
		problem.Code = ""
	}
	switch problem.Code {
	case showWhoYouAre:
		return passage{gateway: base}, true, nil
	case askTheGateway, showYourNode:
		service, err := k.serviceAt(ctx, base)
		if err != nil {
			return p, false, err
		}
		gateway, err := k.gateway(ctx)
		return passage{gateway, service}, err == nil, err
	}
	return p, false, nil
}

// serviceAt is the name of the service at an address, as its /health says to everybody.
func (k *caller) serviceAt(ctx context.Context, base string) (string, error) {
	const any = "service" // it has any of the names
	c, err := client.New(client.Config{Services: map[string]string{any: base}, HTTP: k.client, Attempts: 1})
	if err != nil {
		return "", err
	}
	health, err := c.Health(ctx, any)
	if err != nil || health.Service == "" {
		return "", errors.Join(fmt.Errorf("%s does not say which service it is", base), err)
	}
	return health.Service, nil
}

// configuration is that of the command.
func (k *caller) configuration() (*config.Config, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.loaded == nil {
		var err error
		if k.loaded, err = k.settings.load(k.streams); err != nil {
			return nil, err
		}
	}
	return &k.loaded.Config, nil
}

// gateway is the base address of the gateway.
func (k *caller) gateway(ctx context.Context) (string, error) {
	cfg, err := k.configuration()
	if err != nil {
		return "", err
	}
	return placeOf(ctx, cfg, cluster.Gateway)
}

// send sends a request again, with a credential, and through the gateway if it is for
// another service.
func (k *caller) send(r *http.Request, p passage) (*http.Response, error) {
	text := p.gateway + r.URL.EscapedPath()
	if p.service != "" {
		rest, ok := strings.CutPrefix(r.URL.EscapedPath(), apiPath)
		if !ok {
			return nil, fmt.Errorf("%s is no path that the gateway has", r.URL.Path)
		}
		text = p.gateway + apiPath + p.service + "/" + rest
	}
	if r.URL.RawQuery != "" {
		text += "?" + r.URL.RawQuery
	}
	token, err := k.credential(r.Context(), p.gateway)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if r.GetBody != nil {
		if body, err = r.GetBody(); err != nil {
			return nil, fmt.Errorf("sending the request again: %w", err)
		}
	}
	again, err := http.NewRequestWithContext(r.Context(), r.Method, text, body)
	if err != nil {
		return nil, fmt.Errorf("asking the gateway: %w", err)
	}
	again.Header = r.Header.Clone()
	again.ContentLength, again.GetBody = r.ContentLength, r.GetBody
	again.Header.Set("Authorization", "Bearer "+token)
	return k.client.Do(again)
}

// credential is the API key of the environment, else a token of the first login.
func (k *caller) credential(ctx context.Context, gateway string) (string, error) {
	key, err := keyOf(k.streams.environ)
	if err != nil || key != "" {
		return key, err
	}
	k.mu.Lock()
	token := k.token
	k.mu.Unlock()
	if token != "" {
		return token, nil
	}
	cfg, err := k.configuration()
	if err != nil {
		return "", err
	}
	token, err = k.login(ctx, gateway, app.FirstLogin(cfg.Node.DataDir))
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.token = token
	return token, nil
}

// forget forgets a token of the first login, which may have ended; false without one.
func (k *caller) forget() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	had := k.token != ""
	k.token = ""
	return had
}

// login logs in with what the first start has written to a file.
func (k *caller) login(ctx context.Context, gateway, file string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", usage("the gateway asks who you are: give an API key in %s or %s", keyVariable, keyFileVariable)
	}
	var first app.Login
	if err == nil {
		err = json.Unmarshal(text, &first)
	}
	if err != nil {
		return "", fmt.Errorf("reading the first login: %w", err)
	}
	c, err := client.New(client.Config{Gateways: []string{gateway}, HTTP: k.client, Attempts: 1})
	if err != nil {
		return "", err
	}
	login, err := c.Gateway.Login(ctx, first.Username, first.Password)
	switch {
	case client.StatusOf(err) != 0:
		return "", fmt.Errorf("logging in with %s, whose password may have been changed: give an API key in %s: %w", file, keyVariable, refused(err))
	case err != nil:
		return "", fmt.Errorf("logging in: %w", err)
	}
	return login.AccessToken, nil
}

// keyOf is the API key in the environment, or in the file that it names.
func keyOf(environ []string) (string, error) {
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		switch {
		case value == "":
		case name == keyVariable:
			return value, nil
		case name == keyFileVariable:
			text, err := os.ReadFile(value)
			if err != nil {
				return "", usage("%s: %w", keyFileVariable, err)
			}
			return strings.TrimSpace(string(text)), nil
		}
	}
	return "", nil
}
