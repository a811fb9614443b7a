// Package access decides who a client of the gateway is: users and their logins, API
// keys, tokens of identity providers, and the role that each request needs.
//
// # Authority
//
// The bucket "access" of the broker is the truth: users, API keys, sessions and the
// keys that sign access tokens, each a document that is changed by compare-and-set.
// The actor root/access follows it; a [Desk] answers from that copy in memory,
// so a request costs the broker nothing, and a user that is disabled, a session that
// ends or a key that is revoked at one gateway is refused at all of them as soon as
// the change is told.
//
//	user.<name>     role, Argon2id hash of the password, whether disabled
//	session.<id>    a login: its secret, how often it was renewed, whether it ended
//	apikey.<id>     SHA-256 of the key, role, scopes, expiry
//	used.<id>       when the key was last used, written at most once a minute
//	signing.<kid>   secret of HS256, for access tokens
//
// # States of a login
//
//	          Login             Refresh (renewal n+1)
//	(none) ─────────▶ open ──────────┐
//	                   │ ▲───────────┘
//	                   │ Logout · password changed · user disabled or removed
//	                   │ · a renewal that was used before comes again · it expires
//	                   ▼
//	                 ended: its access and refresh tokens are refused, for good
//
// A refresh token works once. When one that was used comes again, either the client or
// somebody else has a stolen copy, and nobody can say who: the login ends.
//
// # What is believed
//
// A token of our own issue is HS256 with a key of ours, and nothing else; one of an
// identity provider is RS256, PS256, ES256 or EdDSA (or their longer forms) with a key
// of that provider's set, and never HS256. Which of the two it is, is decided by its
// issuer before any key is looked for. The role is never in a token of ours: it is
// that of the user now.
//
// Secrets are compared by their SHA-256 or MAC in constant time; a name that is not
// known costs as much as a wrong password. Hashing is bounded: so many at once, so
// many waiting, and then [ErrBusy]. Failed logins slow down the name at that address,
// the address, and (much later) the name.
//
// # Failure
//
// While the broker is away, whoever was known is let in as before; logins, renewals
// and changes fail with bucket.ErrUnavailable. Before the copy is complete for the
// first time nobody is let in.
package access
