// Package gateway is the façade of the api-gateway-service: the one entrance to all
// services. It holds no state: instances, limits and kept answers are the branch's
// (actors/gateway).
//
// # The way of a request
//
//	chassis     identity, size and shape of the request, path hygiene, origin
//	CORS        answers of preflights
//	target      /api/v1/{service}/X, /api/v1/{alias}/X, /ws/{service}/X -> service and its own path
//	admission   credentials and role, when authentication is on; rates and quotas; what is under way
//	cache       when a rule keeps the answer
//	forwarding  an instance is picked, the request sent, and sent again where that is safe
//
// Bodies are streamed both ways. Whoever reads or sends too slowly is cut off by the
// chassis, by write_timeout here, and by the timeouts of package forward.
//
// # Headers
//
// What a client says of itself to be trusted is taken out of every request: identity,
// X-Gateway-*, Forwarded, X-Real-IP and their like. X-Forwarded-For is what the gateway
// itself has seen; what a client sends of it counts only from trusted_proxies. Request id and trace
// go on. Via keeps two gateways from sending a request to each other for ever. Answers
// say which service they are from (X-Gateway-Service), when they passed
// (X-Gateway-Timestamp), and what is left of the client's rate (RateLimit-*,
// X-RateLimit-*).
package gateway
