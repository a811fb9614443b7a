package broker

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// programUser is the name of the program where the configuration has none.
const programUser = "marketprism"

// ServiceUser are the credentials of one [Service], in each account.
type ServiceUser struct {
	Service         Service `yaml:"service" doc:"Service that it is: recorder, storage, collector, scheduler, gateway, monitoring, messages, tasks, deadletters, events, audit or identity."`
	Username        string  `yaml:"username" doc:"User name in the program's account; empty is that of nats.username."`
	Password        string  `yaml:"password" secret:"true" doc:"Password that belongs to username."`
	ClientsUsername string  `yaml:"clients_username" doc:"User name in the account of clients' streams; empty is that of nats.clients_username."`
	ClientsPassword string  `yaml:"clients_password" secret:"true" doc:"Password that belongs to clients_username."`
}

// account is one of the two.
type account uint8

const (
	programAccount account = iota
	clientsAccount
	systemAccount // of the server itself, in a cluster
)

// login is what a connection shows.
type login struct{ username, password string }

// login is what the broker's own connections show: all rights in either account.
func (c Config) login(a account) login {
	switch {
	case a == programAccount:
		return login{c.Username, c.Password}
	case a == systemAccount:
		name := c.Username + ".system"
		return login{name, derived(c.Password, name)}
	case c.Mode == Embedded:
		return login{c.Username + clientsSuffix, c.Password}
	case c.ClientsUsername != "":
		return login{c.ClientsUsername, c.ClientsPassword}
	}
	return login{c.Username, c.Password}
}

// serviceLogin is what a service shows. At an embedded server its password is made of
// the program's, so that every process which knows that one knows all.
func (c Config) serviceLogin(s Service, a account) login {
	for _, u := range c.Services {
		switch {
		case u.Service != s:
		case a == programAccount && u.Username != "":
			return login{u.Username, u.Password}
		case a == clientsAccount && u.ClientsUsername != "":
			return login{u.ClientsUsername, u.ClientsPassword}
		case a == clientsAccount && c.Mode == External && c.ClientsUsername == "" && u.Username != "":
			return login{u.Username, u.Password} // there is one account
		}
	}
	if c.Mode == External {
		return c.login(a)
	}
	name := c.Username + "." + string(s)
	if a == clientsAccount {
		name += clientsSuffix
	}
	return login{name, derived(c.Password, name)}
}

// derived is the password of a user of the program's, which tells nothing of secret.
func derived(secret, name string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("marketprism nats user " + name)) // never fails
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// ElsewhereAt makes of the configuration of an embedded server that of a process
// that reaches it at url.
func (c Config) ElsewhereAt(url string) Config {
	far := c
	far.Mode, far.URL = External, url
	far.TLS.CertFile, far.TLS.KeyFile = "", "" // the server's
	if c.Username == "" {
		return far
	}
	clients := c.login(clientsAccount)
	far.ClientsUsername, far.ClientsPassword = clients.username, clients.password
	far.Services = nil
	for _, s := range Services() {
		p, q := c.serviceLogin(s, programAccount), c.serviceLogin(s, clientsAccount)
		far.Services = append(far.Services, ServiceUser{s, p.username, p.password, q.username, q.password})
	}
	return far
}

// ErrExposed: the file of credentials can be read by others.
var ErrExposed = errors.New("the credentials can be read by others")

// kept is the form of the file of credentials.
type kept struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// WithCredentials gives the program credentials that are the same for all processes on
// one data directory: those of a file that only its owner reads, which is made with a
// random password if there is none. Configured ones stay. Error: ErrExposed.
func (c Config) WithCredentials(path string) (Config, error) {
	if c.Username != "" || c.Mode != Embedded {
		return c, nil
	}
	k, err := readCredentials(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = writeCredentials(path, kept{programUser, rand.Text()}); err == nil {
			k, err = readCredentials(path)
		}
	}
	if err != nil {
		return c, fmt.Errorf("the broker's credentials: %w", err)
	}
	c.Username, c.Password = k.Username, k.Password
	return c, nil
}

func readCredentials(path string) (kept, error) {
	var k kept
	f, err := os.Open(path)
	if err != nil {
		return k, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return k, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return k, fmt.Errorf("%w: %s has mode %#o; `chmod 600 %s`", ErrExposed, path, mode, path)
	}
	if err := json.NewDecoder(f).Decode(&k); err != nil {
		return k, fmt.Errorf("reading %s: %w", path, err)
	}
	if k.Username == "" || k.Password == "" {
		return k, fmt.Errorf("reading %s: username or password is missing; remove it to have new ones made", path)
	}
	return k, nil
}

// writeCredentials makes the file, whole or not at all, unless there is one: of two
// processes that start at once one makes it.
func writeCredentials(path string, k kept) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is not there any more, or of no use
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
