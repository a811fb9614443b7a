package broker

import (
	"slices"

	"github.com/nats-io/nats-server/v2/server"
)

// NoticeStream holds what the server says about messages that consumers have given
// up, until they are dead letters. It is the program's own, in the clients' account.
const NoticeStream = "DLQ_NOTICES"

// livePlane is what the collector publishes and clients read.
const livePlane = "md.>"

// denied is what no client publishes to. What the program keeps is in another
// account; this keeps the live plane, dead letters and the server's own notices
// genuine, and the making of streams to HTTP, which says what is allowed.
var denied = []string{
	"journal.>", livePlane, "dlq.>", "$KV.>", "$O.>", "$JS.EVENT.>",
	"$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>", "$JS.API.STREAM.DELETE.>", "$JS.API.STREAM.PURGE.>",
	"$JS.API.STREAM.MSG.DELETE.>", "$JS.API.STREAM.RESTORE.>", "$JS.API.STREAM.SNAPSHOT.>",
	"$JS.API.STREAM.LEADER.>", "$JS.API.STREAM.PEER.>", "$JS.API.META.>", "$JS.API.SERVER.>", "$JS.API.ACCOUNT.PURGE.>",
	"$JS.API.CONSUMER.CREATE." + NoticeStream, "$JS.API.CONSUMER.*." + NoticeStream + ".>", "$JS.API.CONSUMER.*.*." + NoticeStream + ".>",
	"$JS.ACK." + NoticeStream + ".>",
}

// Of JetStream's requests, those that everybody may send, and those that make a
// consumer. A consumer with one filter names it at the end of its subject
// (https://docs.nats.io/reference/reference-protocols/nats_api_reference).
var (
	asking = []string{
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.*",
		"$JS.API.CONSUMER.NAMES.*", "$JS.API.CONSUMER.LIST.*", "$JS.API.CONSUMER.INFO.*.*",
		"$JS.API.CONSUMER.MSG.NEXT.*.*", "$JS.API.CONSUMER.DELETE.*.*", "$JS.ACK.>", "$JS.FC.>", "_INBOX.>",
	}
	consuming = "$JS.API.CONSUMER.CREATE.*.*."
)

// rights are what a client may do: without lists all that clients may, with either
// list what they say and nothing else. One who may read some subjects only makes
// consumers that are filtered to one of them.
func (u UserConfig) rights() *server.Permissions {
	p := &server.Permissions{Publish: &server.SubjectPermission{Deny: denied}}
	if len(u.Publish) == 0 && len(u.Subscribe) == 0 {
		return p
	}
	p.Publish.Allow = slices.Concat(asking, u.Publish)
	p.Subscribe = &server.SubjectPermission{Allow: slices.Concat([]string{"_INBOX.>"}, u.Subscribe)}
	for _, subject := range u.Subscribe {
		p.Publish.Allow = append(p.Publish.Allow, consuming+subject)
	}
	return p
}
