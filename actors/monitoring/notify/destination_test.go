package notify_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/notify"
)

var update = flag.Bool("update", false, "write testdata")

var at = time.Date(2024, 8, 8, 12, 0, 0, 0, time.UTC)

func two() []alert.Alert {
	return []alert.Alert{
		{
			Rule: "StreamStale", State: alert.Firing, Value: 1, ActiveAt: at, FiredAt: at.Add(time.Minute), CheckedAt: at.Add(2 * time.Minute),
			Labels:      alert.LabelsOf(map[string]string{"alertname": "StreamStale", "service": "market-data-collector", "severity": "warning", "symbol": "BTC-USDT"}),
			Annotations: alert.LabelsOf(map[string]string{"summary": "BTC-USDT is <stale> & late", "description": "Nothing comes.", "runbook_url": "docs/runbooks.md#streamstale"}),
		},
		{
			Rule: "StreamStale", State: alert.Resolved, ActiveAt: at, FiredAt: at.Add(time.Minute), ResolvedAt: at.Add(3 * time.Minute),
			Labels:      alert.LabelsOf(map[string]string{"alertname": "StreamStale", "service": "market-data-collector", "severity": "critical", "symbol": "ETH-USDT"}),
			Annotations: alert.LabelsOf(map[string]string{"summary": "ETH-USDT is stale", "runbook_url": "docs/runbooks.md#streamstale"}),
		},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got)+"\n" {
		t.Errorf("%s is now\n%s", file, got)
	}
}

// TestMessages: what goes out is a promise to those who read it.
func TestMessages(t *testing.T) {
	group := alert.LabelsOf(map[string]string{"alertname": "StreamStale", "service": "market-data-collector"})
	text, err := notify.WebhookBody("desk", `{}:{alertname="StreamStale"}`, group, "http://127.0.0.1:8084", 0, two()...)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "webhook.json", text)
	if text, err = notify.WebhookBody("desk", "{}:{}", group, "", 1, two()...); err != nil || !strings.Contains(string(text), `"truncatedAlerts": 1`) {
		t.Errorf("cut off: %s, %v", text, err)
	}
	if text, err = notify.SlackBody("#desk", group, two()...); err != nil {
		t.Fatal(err)
	}
	golden(t, "slack.json", text)
}

// TestPost: what an answer means, and that no error holds the address.
func TestPost(t *testing.T) {
	status := http.StatusOK
	var seen *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "because")
	}))
	defer s.Close()
	c := notify.HTTPConfig{URL: s.URL + "/secret-path", BearerToken: "token", Headers: map[string]string{"X-Team": "desk"}}
	for _, tt := range []struct {
		status   int
		ok, gone bool
	}{
		{200, true, false}, {204, true, false}, {302, false, true}, {400, false, true}, {404, false, true}, {429, false, false}, {500, false, false}, {503, false, false},
	} {
		status = tt.status
		err, gone := notify.Post(t.Context(), c, []byte(`{}`))
		if (err == nil) != tt.ok || gone != tt.gone {
			t.Errorf("%d: %v, permanent %v", tt.status, err, gone)
		}
		if err != nil && strings.Contains(err.Error(), "secret-path") {
			t.Errorf("%d: the error holds the address: %v", tt.status, err)
		}
	}
	if seen.Header.Get("Authorization") != "Bearer token" || seen.Header.Get("X-Team") != "desk" || seen.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", seen.Header)
	}
	s.Close()
	err, gone := notify.Post(t.Context(), c, []byte(`{}`))
	if err == nil || gone || strings.Contains(err.Error(), "secret-path") {
		t.Errorf("with nobody there: %v, permanent %v", err, gone)
	}
	err, gone = notify.Post(t.Context(), notify.HTTPConfig{URL: "http://169.254.169.254/latest/meta-data"}, []byte(`{}`))
	if err == nil || !gone || !strings.Contains(err.Error(), "link-local") {
		t.Errorf("the metadata service was called: %v, permanent %v", err, gone)
	}
}

// certificate makes a self-signed one for 127.0.0.1 and the file that trusts it.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, file
}

// mailServer takes one mail, by STARTTLS and a password, and hands over what it saw.
func mailServer(t *testing.T, cert tls.Certificate, offersTLS bool, refuse string) (port int, saw <-chan []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan []string, 1)
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		done <- mailDialogue(conn, cert, offersTLS, refuse)
	}()
	t.Cleanup(func() {
		_ = l.Close()
		for range done { // until the server has gone
		}
	})
	return l.Addr().(*net.TCPAddr).Port, done
}

func mailDialogue(conn net.Conn, cert tls.Certificate, offersTLS bool, refuse string) (saw []string) {
	in := bufio.NewReader(conn)
	say := func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
	say("220 mail ready")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return saw
		}
		line = strings.TrimRight(line, "\r\n")
		saw = append(saw, line)
		verb, _, _ := strings.Cut(line, " ")
		switch {
		case refuse != "" && strings.HasPrefix(line, refuse):
			say("550 not here")
		case verb == "EHLO" && offersTLS:
			say("250-mail\r\n250-AUTH PLAIN\r\n250 STARTTLS")
		case verb == "EHLO":
			say("250 mail")
		case verb == "STARTTLS" && !offersTLS:
			say("502 not known")
		case verb == "STARTTLS":
			say("220 go on")
			secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
			conn, in = secure, bufio.NewReader(secure)
		case verb == "AUTH":
			say("235 welcome")
		case verb == "DATA":
			say("354 go on")
			for {
				text, err := in.ReadString('\n')
				if err != nil || text == ".\r\n" {
					break
				}
				saw = append(saw, strings.TrimRight(text, "\r\n"))
			}
			say("250 taken")
		case verb == "QUIT":
			say("221 bye")
			return saw
		default:
			say("250 fine")
		}
	}
}

func TestEmail(t *testing.T) {
	cert, ca := certificate(t)
	server := notify.SMTPConfig{Host: "127.0.0.1", TLS: notify.TLSStart, From: "MarketPrism <alerts@example.com>", Username: "alerts", Password: "s3cret", CAFile: ca}
	to := []string{"ops@example.com", "Desk <desk@example.com>"}

	t.Run("told", func(t *testing.T) {
		var saw <-chan []string
		server.Port, saw = mailServer(t, cert, true, "")
		if err := notify.Mail(t.Context(), to, server, at, two()...); err != nil {
			t.Fatal(err)
		}
		lines := <-saw
		text := strings.Join(lines, "\n")
		for _, want := range []string{"STARTTLS", "AUTH PLAIN ", "MAIL FROM:<alerts@example.com>", "RCPT TO:<ops@example.com>", "RCPT TO:<desk@example.com>"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in the dialogue", want)
			}
		}
		if strings.Index(text, "AUTH") < strings.Index(text, "STARTTLS") {
			t.Error("the password went before TLS")
		}
		mailText := text[strings.Index(text, "\nDATA\n")+6 : strings.LastIndex(text, "\nQUIT")]
		m, err := mail.ReadMessage(strings.NewReader(strings.ReplaceAll(mailText, "\n", "\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil || subject != "[FIRING:1] Ä" {
			t.Errorf("subject %q, %v", subject, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"FIRING: BTC-USDT is <stale> & late", "RESOLVED: ETH-USDT is stale", "since 2024-08-08T12:01:00Z", "until 2024-08-08T12:03:00Z", "what to do: docs/runbooks.md#streamstale"} {
			if !strings.Contains(string(body), want) {
				t.Errorf("no %q in\n%s", want, body)
			}
		}
		if m.Header.Get("In-Reply-To") == "" || m.Header.Get("Message-Id") == m.Header.Get("In-Reply-To") {
			t.Errorf("headers %v", m.Header)
		}
	})
	t.Run("no TLS, no password", func(t *testing.T) {
		var saw <-chan []string
		server.Port, saw = mailServer(t, cert, false, "")
		if err := notify.Mail(t.Context(), to, server, at, two()...); err == nil {
			t.Error("told without TLS")
		}
		if text := strings.Join(<-saw, "\n"); strings.Contains(text, "AUTH") || strings.Contains(text, "MAIL") {
			t.Errorf("said in the clear: %s", text)
		}
	})
	t.Run("an authority that nobody trusts", func(t *testing.T) {
		foreign := server
		foreign.CAFile = ""
		foreign.Port, _ = mailServer(t, cert, true, "")
		if err := notify.Mail(t.Context(), to, foreign, at, two()...); err == nil {
			t.Error("told a stranger")
		}
	})
	t.Run("refused", func(t *testing.T) {
		server.Port, _ = mailServer(t, cert, true, "RCPT TO:<desk")
		if err := notify.Mail(t.Context(), to, server, at, two()...); err == nil || !strings.Contains(err.Error(), "550") {
			t.Errorf("refused: %v", err)
		}
	})
	t.Run("a server that is silent", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		server.Port = l.Addr().(*net.TCPAddr).Port
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := notify.Mail(ctx, to, server, at, two()...); err == nil {
			t.Error("told nobody")
		}
	})
}
