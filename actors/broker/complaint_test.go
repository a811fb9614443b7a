package broker_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/broker"
)

// A process with another password than the server's says so, without the password, and
// gets in as soon as the server takes it; one that was in and is refused for a while comes
// back. What is said is not said at each of the many attempts.
func TestRefusedCredentials(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := testConfig(t)
	c.Port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c.Username, c.Password = "prism", "one password"
	other := c
	other.Password = "another password"

	core, logged := observer.New(zap.InfoLevel)
	said := func(text string) int { return logged.FilterMessageSnippet(text).Len() }
	far := other.ElsewhereAt("nats://" + l.Addr().String())
	h, err := broker.New(far, broker.Options{Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	sys := newSystem(t)
	up := make(chan error, 1)
	go func() { up <- sys.Start(testContext(t), h.Spec()) }()
	actorstest.Eventually(t, "a word that nobody is there", func() bool { return said("cannot be reached") > 0 })
	_, refusing := start(t, c)
	actorstest.Eventually(t, "a word that the password is wrong", func() bool { return said("refuses this user and password") > 0 })
	if err := refusing.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	_, taking := start(t, other)
	if err := <-up; err != nil {
		t.Fatalf("with the right password: %v; logged: %v", err, logged.All())
	}
	nc, _ := connect(t, h)

	if err := taking.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	_, refusing = start(t, c)
	actorstest.Eventually(t, "a word that the connection is refused", func() bool { return said("refuses this user and password") > 1 })
	tries := nc.Stats().Reconnects
	if err := refusing.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	start(t, other)
	actorstest.Eventually(t, "the connection to be back", func() bool { return nc.IsConnected() && nc.Stats().Reconnects > tries })
	actorstest.Eventually(t, "the broker to be up", func() bool { return h.Up() == nil })

	for _, entry := range logged.FilterMessageSnippet("broker").All() {
		text := entry.Message
		for key, value := range entry.ContextMap() {
			text += fmt.Sprint(" ", key, "=", value)
		}
		if strings.Contains(text, "another password") {
			t.Errorf("a password is logged: %s", text)
		}
		t.Log(text)
	}
	if n := said("refuses this user and password"); n > 6 {
		t.Errorf("it is said %d times", n)
	}
}
