// Package identity says who sends a request, and how one service proves it to
// another.
//
// # Authority
//
// The gateway alone decides who a client is. It hands a request on with a [Token]: a
// few words about the client, for one service only, valid for seconds, signed with
// the Ed25519 key of the gateway's process. Services that call one another sign for
// themselves. Every process makes its own key, keeps the private half in memory and
// publishes the public half ([Announcement]) where all processes of the program, and
// nobody else, can write; it makes a new one long before the old one ends. Nothing
// secret is ever stored or shared.
//
//	Signer     one process's key; Sign makes tokens of what its announcement allows
//	Keyring    the announcements that are known, by key id
//	Verifier   token + audience -> Principal
//
// What a key may sign is part of its announcement: the gateway's key signs for
// anybody, another service's key for the services of its process only.
//
// # Failure
//
// A token that is not right in every respect is an [ErrToken], whatever is wrong with
// it: nobody learns from the answer how near a forgery was. A key that is not known
// (yet) makes the verifier look once more, at most once a second.
//
// The signature is checked before anything that it covers is believed; there is one
// algorithm and no field that names another. Nothing here compares secrets: of
// Ed25519 the verifier has the public half only.
package identity
