// Package certs is the certificate of this node, its key, and the authorities that it
// trusts: for every port of the program that speaks TLS, and for every connection that
// it makes.
//
// # Authority
//
// A [Pair] owns what three PEM files hold. It reads them when it is opened, and again
// when [Pair.Watch] finds that they have changed, or when it is told to
// ([Pair.Reload]). Everything that it hands out follows: [Pair.Server] for listeners,
// [Pair.Client] and [Pair.Dial] for connections, [Pair.Peer] for who is at the other
// end of one that is open already.
//
//	           Open               files changed, and are good
//	(files) ─────────▶ in use ─────────────────────────────────▶ in use (the new ones)
//	   │ not good        │  ▲
//	   ▼                 │  └── files changed again
//	an error             ▼ files changed, and are not good
//	                 in use (those of before), [Standing.Fault] says what is wrong
//
// An [Authority] makes such files for those who have no authority of their own.
//
// # What is asked of the files
//
// The certificate is valid now, names at least one host (a DNS name or an IP address as
// a subject alternative name; a common name counts for nobody any more), may be used by
// servers, and, where there are authorities, is signed by one of them and may be used
// by clients too. The key is the certificate's, and not readable by everybody. What is
// wrong is said all at once ([Error] names the setting and the file).
//
// # Failure
//
// Files that cannot be used change nothing: connections go on with what there was, the
// fault is logged once and stays in [Pair.Standing] until files are good again. A
// certificate that has ended is shown on, and refused by others: it says so itself.
// An authority that is taken out of the file counts no more at once: new connections
// with its certificates are refused, and [Pair.Peer] refuses those that are open.
package certs
