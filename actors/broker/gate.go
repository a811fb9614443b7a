package broker

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/nats-io/nats-server/v2/server"
)

// clientUser is who connects without credentials; clientsSuffix makes the program's
// user into its own in the clients' account, with the same password.
const (
	clientUser    = "client"
	clientsSuffix = ".clients"
)

// gate decides who a connection is: the program or one of its services, in either
// account, by its name and password; a client by his; or a client who shows nothing. The server's own table
// of users would do the same, but takes every password in it for one that was
// written into a file, and warns of it at each start; a hash there would cost each
// connection its computation and protect nothing, for these passwords are in this
// process anyhow.
type gate struct {
	known     []entry
	anonymous *server.User // nil: everyone shows credentials
}

// entry is one user and what he shows.
type entry struct {
	secret [sha256.Size]byte // of name and password
	user   *server.User
	of     account
}

// newGate makes the gate of a server; [gate.admitTo] opens it.
func newGate(c Config) *gate {
	g := &gate{}
	g.add(c.login(programAccount), nil, programAccount)
	g.add(c.login(clientsAccount), nil, clientsAccount)
	if c.Clustered() {
		g.add(c.login(systemAccount), nil, systemAccount)
	}
	for _, s := range Services() {
		program, clients := s.grants(maxShards)
		if program != nil {
			g.add(c.serviceLogin(s, programAccount), program.permissions(), programAccount)
		}
		if clients != nil {
			g.add(c.serviceLogin(s, clientsAccount), clients.permissions(), clientsAccount)
		}
	}
	for _, u := range c.Users {
		g.add(login{u.Name, u.Password}, u.rights(), clientsAccount)
	}
	if c.Anonymous {
		g.anonymous = &server.User{Username: clientUser, Permissions: UserConfig{}.rights()}
	}
	return g
}

func (g *gate) add(l login, p *server.Permissions, of account) {
	g.known = append(g.known, entry{digest(l.username, l.password), &server.User{Username: l.username, Permissions: p}, of})
}

// admitTo puts the users into their accounts, before the server takes connections.
func (g *gate) admitTo(a accounts) {
	for _, e := range g.known {
		switch e.of {
		case programAccount:
			e.user.Account = a.program
		case systemAccount:
			e.user.Account = a.system
		default:
			e.user.Account = a.clients
		}
	}
	if g.anonymous != nil {
		g.anonymous.Account = a.clients
	}
}

// Check implements server.Authentication.
func (g *gate) Check(c server.ClientAuthentication) bool {
	shown := c.GetOpts()
	if shown.Username == "" && shown.Password == "" && shown.Token == "" && shown.Nkey == "" && shown.JWT == "" {
		if g.anonymous == nil {
			return false
		}
		c.RegisterUser(g.anonymous)
		return true
	}
	got := digest(shown.Username, shown.Password)
	var found *server.User
	for _, e := range g.known { // all of them, however soon one matches
		if subtle.ConstantTimeCompare(got[:], e.secret[:]) == 1 {
			found = e.user
		}
	}
	if found == nil {
		return false
	}
	c.RegisterUser(found)
	return true
}

// digest makes credentials one value of fixed length, which takes the same time to
// compare wherever two differ. A NATS user name holds no zero byte.
func digest(username, password string) [sha256.Size]byte {
	return sha256.Sum256([]byte(username + "\x00" + password))
}
