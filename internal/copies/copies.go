// Package copies says on how many nodes of the broker something is kept.
package copies

import "github.com/nats-io/nats.go/jetstream"

// InCluster is the number where nothing else is said, at a broker of several nodes:
// one of them may be lost, and the other two still agree.
const InCluster = 3

// Of is how many replicas a stream or a bucket gets: as many as are wanted, 1 to 5; of
// 0, [InCluster] at a broker of several nodes and 1 at one that stands alone. A server
// of a cluster says so when a client connects
// (https://docs.nats.io/reference/reference-protocols/nats-protocol#info).
func Of(js jetstream.JetStream, wanted int) int {
	switch {
	case wanted > 0:
		return wanted
	case js.Conn().ConnectedClusterName() != "":
		return InCluster
	}
	return 1
}

// Allowed reports whether a configuration may want so many.
func Allowed(wanted int) bool { return wanted == 0 || wanted == 1 || wanted == 3 || wanted == 5 }
