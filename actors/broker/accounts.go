package broker

import (
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
)

// clientsName is the account of everyone who is not the program: their streams, and
// everything that they can see of the server.
const clientsName = "CLIENTS"

// accounts are the two of an embedded server. Nothing passes from one to the other
// except the live plane, which clients read: neither a reply subject nor a push
// consumer of a client reaches the journal or a bucket.
// system is the server's own in a cluster, else nil.
type accounts struct{ program, clients, system *server.Account }

// openAccounts makes the accounts of a server that has not been started.
func openAccounts(srv *server.Server) (accounts, error) {
	a := accounts{program: srv.GlobalAccount()}
	var err error
	if a.clients, err = srv.RegisterAccount(clientsName); err != nil {
		return a, fmt.Errorf("making the clients' account: %w", err)
	}
	if err := a.program.AddStreamExport(livePlane, nil); err != nil {
		return a, fmt.Errorf("exporting the live plane: %w", err)
	}
	if err := a.clients.AddStreamImport(a.program, livePlane, ""); err != nil {
		return a, fmt.Errorf("importing the live plane: %w", err)
	}
	return a, nil
}

// recover gives both accounts of a running server JetStream, which recovers their
// streams.
func (a accounts) recover() error {
	for _, account := range []*server.Account{a.program, a.clients} {
		if err := account.EnableJetStream(nil, nil); err != nil {
			return fmt.Errorf("recovering the streams of account %s: %w", account.GetName(), err)
		}
	}
	return nil
}
