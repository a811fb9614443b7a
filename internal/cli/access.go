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
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/internal/app"
)

// accessOptions find the gateway and the credential to show it.
type accessOptions struct {
	settings
	at, form string
	key      string // an API key; of the environment
	dataDir  string
}

const (
	keyVariable     = "MARKETPRISM_API_KEY"
	keyFileVariable = "MARKETPRISM_API_KEY_FILE"
	authPath        = "/api/v1/auth/"
	accessTimeout   = 30 * time.Second
)

func (o *accessOptions) flags(c *cobra.Command) {
	o.settings.flags(c)
	c.Flags().StringVar(&o.at, "at", "", "address of the api-gateway-service; without it, it is found by configuration")
	c.Flags().StringVarP(&o.form, "output", "o", "table", "table or json")
}

// find is the base address of the gateway; it reads the credential too.
func (o *accessOptions) find(ctx context.Context, s streams) (string, error) {
	if o.form != "table" && o.form != "json" {
		return "", usage("-o %q: want table or json", o.form)
	}
	loaded, err := o.load(s)
	if err != nil {
		return "", err
	}
	o.dataDir = loaded.Config.Node.DataDir
	if o.key, err = keyOf(s.environ); err != nil {
		return "", err
	}
	if o.at != "" {
		return strings.TrimSuffix(o.at, "/"), nil
	}
	for _, p := range places(ctx, app.StaticRegistry(&loaded.Config), o.dataDir) {
		if p.Service == cluster.Gateway && p.URL != "" {
			return p.URL, nil
		}
	}
	return "", fmt.Errorf("the api-gateway-service is nowhere to be found: start it, or name its address with --at")
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

// call asks the gateway, as whoever the API key says, else as the first user while its
// file is there.
func (o *accessOptions) call(ctx context.Context, s streams, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, accessTimeout)
	defer cancel()
	base, err := o.find(ctx, s)
	if err != nil {
		return err
	}
	header, err := o.credential(ctx, base)
	if err != nil {
		return err
	}
	return exchange(ctx, base, method, path, header, body, into)
}

func (o *accessOptions) credential(ctx context.Context, base string) (http.Header, error) {
	if o.key != "" {
		return http.Header{"X-Api-Key": {o.key}}, nil
	}
	text, err := os.ReadFile(app.FirstLogin(o.dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return http.Header{}, nil // on loopback none is asked for
	}
	var first app.Login
	if err == nil {
		err = json.Unmarshal(text, &first)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the first login: %w", err)
	}
	var token struct {
		Access string `json:"access_token"`
	}
	err = exchange(ctx, base, http.MethodPost, authPath+"login", nil, first, &token)
	if err != nil {
		return nil, fmt.Errorf("logging in with %s, whose password may have been changed: give an API key in %s: %w", app.FirstLogin(o.dataDir), keyVariable, err)
	}
	return http.Header{"Authorization": {"Bearer " + token.Access}}, nil
}

// exchange sends one request, and reads the JSON that is answered.
func exchange(ctx context.Context, base, method, path string, header http.Header, body, into any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, base+path, content)
	if err != nil {
		return usage("--at: %w", err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("asking the gateway (does it run?): %w", err)
	}
	defer res.Body.Close() // it is read as far as it counts
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w; give an administrator's API key in %s or %s", refused(base, res), keyVariable, keyFileVariable)
	default:
		return refused(base, res)
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", base, err)
	}
	return nil
}
