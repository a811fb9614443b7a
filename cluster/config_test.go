package cluster_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/cluster"
)

func TestAddresses(t *testing.T) {
	a := cluster.Addresses{Storage: []string{"10.0.0.7:8080", "[2001:db8::7]:9080"}, Gateway: []string{"gateway.example:80"}}
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	got := a.Instances()
	want := []cluster.Instance{{Service: cluster.Storage, Host: "10.0.0.7", Port: 8080}, {Service: cluster.Storage, Host: "2001:db8::7", Port: 9080}}
	if !slices.Equal(got[cluster.Storage], want) || len(got[cluster.Gateway]) != 1 || len(got) != 2 {
		t.Errorf("got %+v", got)
	}
	if url := got[cluster.Storage][1].URL(); url != "http://[2001:db8::7]:9080" {
		t.Errorf("URL %s", url)
	}
	for _, bad := range []string{"", "10.0.0.7", ":8080", "host:0", "host:70000", "host:x", "http://host:8080", "2001:db8::7:9080", "user@host:80", "a b:1"} {
		a := cluster.Addresses{Collector: []string{"ok:1", bad}}
		err := a.Validate()
		if err == nil || !strings.Contains(err.Error(), cluster.Collector+"[1]: ") {
			t.Errorf("%q: %v", bad, err)
		}
		if n := len(a.Instances()[cluster.Collector]); n != 1 {
			t.Errorf("%q: %d instances", bad, n)
		}
	}
}

// TestPlainToken: a token is sent to another host over TLS only, unless somebody says that
// nobody listens.
func TestPlainToken(t *testing.T) {
	for address, here := range map[string]bool{
		"127.0.0.1:8500": true, "localhost:8500": true, "[::1]:8500": true, "unix:///run/consul.sock": true,
		"consul:8500": false, "10.0.0.7:8500": false, "[2001:db8::7]:8500": false,
	} {
		c := cluster.DefaultConsul()
		c.Address, c.TokenFile = address, "token"
		if err := c.Validate(); (err == nil) != here || err != nil && !strings.Contains(err.Error(), "allow_plain_token: true") {
			t.Errorf("%s: %v", address, err)
		}
		c.AllowPlainToken = true
		if err := c.Validate(); err != nil {
			t.Errorf("%s, allowed: %v", address, err)
		}
		c.AllowPlainToken, c.Scheme = false, "https"
		if err := c.Validate(); err != nil {
			t.Errorf("%s, over https: %v", address, err)
		}
		c.Scheme, c.TokenFile = "http", ""
		if err := c.Validate(); err != nil {
			t.Errorf("%s, without a token: %v", address, err)
		}
	}
}
