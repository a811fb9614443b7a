package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// email tells some mail addresses over SMTP (RFC 5321), by a plain text mail (RFC 5322).
type email struct {
	to       []string
	server   SMTPConfig
	trust    *tls.Config
	external string
	attempt  time.Duration
}

func newEmail(to []string, server SMTPConfig, external string, attempt time.Duration) (*email, error) {
	trust, err := authorities(server.CAFile)
	if err != nil {
		return nil, err
	}
	trust.ServerName = server.Host
	return &email{to: to, server: server, trust: trust, external: external, attempt: attempt}, nil
}

func (e *email) close() {}

func (e *email) tell(ctx context.Context, m *message) error {
	ctx, cancel := context.WithTimeout(ctx, e.attempt)
	defer cancel()
	conn, err := dialer(e.attempt).DialContext(ctx, "tcp", net.JoinHostPort(e.server.Host, strconv.Itoa(e.server.Port)))
	if err != nil {
		return fmt.Errorf("reaching the mail server: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // what waits on it ends
	defer stop()
	if e.server.TLS == TLSImplicit {
		conn = tls.Client(conn, e.trust)
	}
	if err := e.send(conn, m); err != nil {
		_ = conn.Close() // the error before it counts
		var refusal *textproto.Error
		if errors.As(err, &refusal) && refusal.Code >= 500 {
			return permanentError{err}
		}
		return err
	}
	return nil
}

// send speaks SMTP and closes the connection when it succeeds.
func (e *email) send(conn net.Conn, m *message) error {
	c, err := smtp.NewClient(conn, e.server.Host)
	if err != nil {
		return fmt.Errorf("greeting the mail server: %w", err)
	}
	if e.server.TLS == TLSStart {
		if err := c.StartTLS(e.trust); err != nil {
			return fmt.Errorf("changing to TLS: %w", err)
		}
	}
	if e.server.Username != "" && e.server.TLS != TLSNone {
		if err := c.Auth(smtp.PlainAuth("", e.server.Username, e.server.Password, e.server.Host)); err != nil {
			return fmt.Errorf("logging in: %w", err)
		}
	}
	from, err := mail.ParseAddress(e.server.From)
	if err != nil {
		return permanentError{fmt.Errorf("sender: %w", err)}
	}
	if err := c.Mail(from.Address); err != nil {
		return fmt.Errorf("naming the sender: %w", err)
	}
	for _, text := range e.to {
		to, err := mail.ParseAddress(text)
		if err != nil {
			return permanentError{fmt.Errorf("addressee: %w", err)}
		}
		if err := c.Rcpt(to.Address); err != nil {
			return fmt.Errorf("naming the addressee: %w", err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("beginning the mail: %w", err)
	}
	text, err := e.compose(m, from)
	if err != nil {
		return permanentError{err}
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("sending the mail: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("ending the mail: %w", err)
	}
	_ = c.Quit() // the mail is accepted: what follows is a courtesy
	return nil
}

// compose writes the mail. All mails of a group answer the same message id, so that
// readers show them as one conversation.
func (e *email) compose(m *message, from *mail.Address) ([]byte, error) {
	hash := fnv.New128a()
	_, _ = hash.Write([]byte(m.groupKey)) // a hash takes everything
	_, domain, _ := strings.Cut(from.Address, "@")
	thread := fmt.Sprintf("<%s@%s>", hex.EncodeToString(hash.Sum(nil)), domain)
	var b bytes.Buffer
	for _, header := range [][2]string{
		{"From", from.String()}, {"To", strings.Join(e.to, ", ")}, {"Subject", mime.QEncoding.Encode("utf-8", m.subject())},
		{"Date", m.now.Format(time.RFC1123Z)},
		{"Message-ID", fmt.Sprintf("<%s.%d@%s>", hex.EncodeToString(hash.Sum(nil)), m.now.UnixNano(), domain)},
		{"In-Reply-To", thread}, {"References", thread}, {"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(header[0] + ": " + strings.NewReplacer("\r", " ", "\n", " ").Replace(header[1]) + "\r\n")
	}
	b.WriteString("\r\n")
	body := quotedprintable.NewWriter(&b)
	if _, err := body.Write([]byte(e.body(m))); err != nil {
		return nil, fmt.Errorf("writing the mail: %w", err)
	}
	if err := body.Close(); err != nil {
		return nil, fmt.Errorf("writing the mail: %w", err)
	}
	return b.Bytes(), nil
}

func (e *email) body(m *message) string {
	var b strings.Builder
	for i := range m.alerts {
		if i == maxTold {
			fmt.Fprintf(&b, "… and %d more\r\n\r\n", len(m.alerts)-maxTold)
			break
		}
		a := &m.alerts[i]
		fmt.Fprintf(&b, "%s: %s\r\n", strings.ToUpper(a.State.String()), headline(a))
		if text := a.Annotations.Get(alert.DescriptionAnnotation); text != "" {
			b.WriteString(clip(text) + "\r\n")
		}
		fmt.Fprintf(&b, "since %s\r\n", a.FiredAt.UTC().Format(time.RFC3339))
		if a.State == alert.Resolved {
			fmt.Fprintf(&b, "until %s\r\n", a.ResolvedAt.UTC().Format(time.RFC3339))
		}
		for _, l := range a.Labels {
			fmt.Fprintf(&b, "  %s = %s\r\n", l.Name, l.Value)
		}
		if link := a.Annotations.Get(alert.RunbookAnnotation); link != "" {
			b.WriteString("what to do: " + link + "\r\n")
		}
		b.WriteString("\r\n")
	}
	if e.external != "" {
		b.WriteString(e.external + "\r\n")
	}
	return b.String()
}
