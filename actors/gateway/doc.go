// Package gateway is the branch behind the api-gateway-service: which instances of
// which services there are and how they are, and what clients may ask of them.
//
//	root/gateway
//	├─ registry   follows the registry of the cluster; what clients have registered, and its end
//	└─ prober     asks every instance whether it takes requests; fetches what services say of themselves
//
// # Authority
//
// The registry actor alone changes which services and instances there are. It publishes
// them in the [Handle], where requests find them without asking an actor: a request
// costs no message. The prober, and what requests themselves show, decide which of the
// instances are used (package upstream). Package limit counts what clients ask, package
// forward sends it on, package cache may keep answers.
//
// # What clients register
//
// A service that is not of the platform, or a further instance of one that is, can be
// registered by a client. It is probed at its health_endpoint, dialled only inside
// registration.networks, and forgotten when neither a probe has passed nor the client
// has registered it again for registration.ttl. Registrations are in memory: a client
// repeats them, as a heartbeat.
//
// # Failure
//
// A registry that does not answer changes nothing: the last list stays in use, with what
// probes find of it, and the registry is asked again after a growing pause. An actor
// that fails is restarted and goes on from what the Handle holds; requests do not
// notice. Settings change as a whole, by one atomic swap, and settings that are wrong
// change nothing.
package gateway
