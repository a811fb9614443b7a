package notify

import (
	"errors"
	"fmt"
	"net/mail"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// ReceiverConfig is one of those who are told.
type ReceiverConfig struct {
	Name     string          `yaml:"name" doc:"What routes call it."`
	Log      bool            `yaml:"log" doc:"Whether it is written to the program's log."`
	Webhooks []WebhookConfig `yaml:"webhooks" doc:"Addresses that get Alertmanager's webhook message, version 4."`
	Slack    []SlackConfig   `yaml:"slack" doc:"Incoming webhooks of Slack, or of what takes the same (Mattermost, Discord's /slack)."`
	Emails   []EmailConfig   `yaml:"emails" doc:"Mail addresses; they need smtp."`
}

// HTTPConfig is how an address is called.
type HTTPConfig struct {
	URL         string            `yaml:"url" secret:"true" doc:"http or https address; it often is a secret itself."`
	BearerToken string            `yaml:"bearer_token" secret:"true" doc:"Sent as Authorization: Bearer."`
	Username    string            `yaml:"username" doc:"With password, for basic authentication."`
	Password    string            `yaml:"password" secret:"true" doc:"Password that belongs to username."`
	Headers     map[string]string `yaml:"headers" doc:"Further headers."`
	CAFile      string            `yaml:"ca_file" doc:"Certificates (PEM) of authorities that are trusted beside the system's."`
}

// WebhookConfig is a webhook.
type WebhookConfig struct {
	HTTPConfig `yaml:",inline"`
	QuietEnd   bool `yaml:"quiet_end" doc:"Whether the end of an alert is not told."`
	MaxAlerts  int  `yaml:"max_alerts" min:"0" max:"10000" doc:"Alerts in one message; those cut off are counted in it. 0 is all."`
}

// SlackConfig is an incoming webhook of Slack.
type SlackConfig struct {
	HTTPConfig `yaml:",inline"`
	Channel    string `yaml:"channel" doc:"Channel, where the webhook does not fix it."`
	QuietEnd   bool   `yaml:"quiet_end" doc:"Whether the end of an alert is not told."`
}

// EmailConfig is one mail to some addresses.
type EmailConfig struct {
	To       []string `yaml:"to" doc:"Addresses, such as ops@example.com."`
	QuietEnd bool     `yaml:"quiet_end" doc:"Whether the end of an alert is not told."`
}

// Ways to secure SMTP.
const (
	TLSStart    = "starttls" // begins in the clear and must change to TLS
	TLSImplicit = "tls"      // TLS from the first byte, usually on port 465
	TLSNone     = "none"     // in the clear; no password is sent
)

// SMTPConfig is a mail server.
type SMTPConfig struct {
	Host     string `yaml:"host" doc:"Name of the mail server."`
	Port     int    `yaml:"port" min:"1" max:"65535" doc:"Its port."`
	TLS      string `yaml:"tls" enum:"starttls,tls,none" doc:"starttls must change to TLS, tls begins with it, none sends in the clear and never a password."`
	From     string `yaml:"from" doc:"Sender of the mails."`
	Username string `yaml:"username" doc:"Name to log in with; empty logs in not at all."`
	Password string `yaml:"password" secret:"true" doc:"Password that belongs to username."`
	CAFile   string `yaml:"ca_file" doc:"Certificates (PEM) of authorities that are trusted beside the system's."`
}

// AlertmanagerConfig is a real Alertmanager.
type AlertmanagerConfig struct {
	HTTPConfig `yaml:",inline"`
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must be an address such as https://hooks.example.com/path") // the text may be a secret
	case u.User != nil:
		return errors.New("must not carry a user name or password; there are settings for them")
	}
	return nil
}

// reserved are headers that the program sets.
var reserved = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Content-Type", "Authorization"}

func (c HTTPConfig) check() error {
	if err := checkURL(c.URL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if c.BearerToken != "" && c.Username != "" {
		return errors.New("bearer_token: not beside username")
	}
	for name, value := range c.Headers {
		if slices.Contains(reserved, textproto.CanonicalMIMEHeaderKey(name)) || strings.ContainsAny(name+value, "\r\n") || name == "" || strings.ContainsAny(name, " :") {
			return fmt.Errorf("headers: %q cannot be set", name)
		}
	}
	return nil
}

// checkReceivers judges receivers, Alertmanagers and the mail server.
func (c Config) checkReceivers() (errs []error) {
	bad := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", key, err))
		}
	}
	seen := map[string]bool{}
	mails := false
	for i, r := range c.Receivers {
		key := fmt.Sprintf("receivers[%d]", i)
		if r.Name == "" || seen[r.Name] || strings.ContainsAny(r.Name, "/$ ") || len(r.Name) > 64 {
			bad(key, fmt.Errorf("name: %q must be there, once, without spaces, / and $", r.Name))
		}
		seen[r.Name] = true
		for j, w := range r.Webhooks {
			bad(fmt.Sprintf("%s.webhooks[%d]", key, j), w.check())
		}
		for j, s := range r.Slack {
			bad(fmt.Sprintf("%s.slack[%d]", key, j), s.check())
		}
		for j, e := range r.Emails {
			mails = true
			bad(fmt.Sprintf("%s.emails[%d]", key, j), e.check())
		}
	}
	for i, a := range c.Alertmanagers {
		bad(fmt.Sprintf("alertmanagers[%d]", i), a.check())
	}
	if mails {
		bad("smtp", c.SMTP.check())
	}
	return errs
}

func (c EmailConfig) check() error {
	if len(c.To) == 0 {
		return errors.New("to: must name an address")
	}
	for _, to := range c.To {
		if _, err := mail.ParseAddress(to); err != nil {
			return fmt.Errorf("to: %q is no address such as ops@example.com", to)
		}
	}
	return nil
}

func (c SMTPConfig) check() error {
	switch {
	case c.Host == "" || strings.ContainsAny(c.Host, " /:\r\n"):
		return errors.New("host: must name the mail server")
	case c.Port < 1 || c.Port > 65535:
		return fmt.Errorf("port: %d, allowed 1 to 65535", c.Port)
	case !slices.Contains([]string{TLSStart, TLSImplicit, TLSNone}, c.TLS):
		return fmt.Errorf("tls: %q is none of starttls, tls, none", c.TLS)
	case c.TLS == TLSNone && c.Password != "":
		return errors.New("password: is not sent in the clear; use tls starttls or tls")
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		return fmt.Errorf("from: %q is no address such as marketprism@example.com", c.From)
	}
	return nil
}
