package broker

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/nats-io/nats-server/v2/server"
)

// clientUser is who connects without credentials. He may publish and read, and
// consume streams; what the program itself keeps in JetStream, and how streams are
// made, is not his: streams are made over HTTP, which knows which are whose.
const clientUser = "client"

var denied = []string{
	"journal.>", "md.>", "$KV.>", "$O.>",
	"$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>", "$JS.API.STREAM.DELETE.>", "$JS.API.STREAM.PURGE.>",
	"$JS.API.STREAM.MSG.DELETE.>", "$JS.API.STREAM.RESTORE.>", "$JS.API.STREAM.SNAPSHOT.>",
	"$JS.API.STREAM.LEADER.>", "$JS.API.STREAM.PEER.>", "$JS.API.META.>", "$JS.API.SERVER.>", "$JS.API.ACCOUNT.PURGE.>",
}

// gate decides who a connection is: the program, by its name and password, or a
// client, who shows nothing. The server's own table of users would do the same,
// but takes every password in it for one that was written into a file, and warns
// of it at each start; a hash there would cost each connection its computation and
// protect nothing, for this password is in this process anyhow.
type gate struct {
	secret          [sha256.Size]byte // of the program's name and password
	program, client *server.User
}

// newGate makes the gate of a server whose program shows these credentials.
func newGate(username, password string) *gate {
	return &gate{
		secret:  digest(username, password),
		program: &server.User{Username: username},
		client: &server.User{
			Username:    clientUser,
			Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: denied}},
		},
	}
}

// Check implements server.Authentication.
func (g *gate) Check(c server.ClientAuthentication) bool {
	shown := c.GetOpts()
	if shown.Username == "" && shown.Password == "" && shown.Token == "" && shown.Nkey == "" && shown.JWT == "" {
		c.RegisterUser(g.client)
		return true
	}
	got := digest(shown.Username, shown.Password)
	if subtle.ConstantTimeCompare(got[:], g.secret[:]) != 1 {
		return false
	}
	c.RegisterUser(g.program)
	return true
}

// digest makes credentials one value of fixed length, which takes the same time to
// compare wherever two differ. A NATS user name holds no zero byte.
func digest(username, password string) [sha256.Size]byte {
	return sha256.Sum256([]byte(username + "\x00" + password))
}
