// Package chassis is the HTTP server that every façade of MarketPrism stands
// on: listening, draining, request identity, errors, health, metrics, and a
// description of every route.
//
// # Authority
//
// A [Server] owns its listener, its connections, the goroutines that serve
// them, and the health checks that it runs. It owns no data: a façade holds no
// state, so stopping a server loses nothing that was acknowledged.
//
// # States
//
//	       New          Start            Ready            Stop
//	(none) ---> created -----> starting ------> ready ---------> draining ---> stopped
//	                                 \__________________________/
//	                                    Stop before Ready
//
//	created   routes, checks and sections may be added
//	starting  the port is bound and answers; /readyz is 503
//	ready     /readyz is 200
//	draining  /readyz is 503 for Config.DrainDelay, then the listener closes;
//	          requests under way run on to Config.DrainTimeout; live routes
//	          (SSE, WebSocket) have their context cancelled at once
//	stopped   nothing of the server runs any more; it is never started again
//
// [Server.Stop] is idempotent: every caller waits for the one stop and gets
// its result.
//
// # A façade
//
//	s, err := chassis.New(chassis.Options{Service: "data-storage-service", Listen: "127.0.0.1:8080", Config: config, …})
//	err = s.Handle(chassis.Route{
//		Method: "GET", Path: "/api/v1/storage/hot/trades/{exchange}/{symbol}", Tag: "hot", Summary: "Recent trades",
//		Params:    []chassis.Param{{Name: "limit", Type: 0, Default: 100, Min: 1, Max: 10000}},
//		Responses: []chassis.Response{{Body: Trades{}}},
//		Handler:   f.hotTrades, // func(w http.ResponseWriter, r *http.Request) error
//	})
//	s.Health().Add("journal", f.checkJournal)
//	err = s.Start(ctx)
//	s.Ready() // when the branch behind it is up
//
// # A request
//
// From the outside in: identity (X-Request-Id, traceparent), security headers,
// access log and metrics · compression · panic recovery · host and origin
// check, path hygiene · middleware of [Server.Use] · routing · then per route:
// deadline, body limit, content type, and the [Handler].
//
// A [Handler] returns an error, or writes its answer. [WriteError] is the one
// place where an error becomes a status: by behaviour (HTTPStatus, RetryAfter,
// Timeout), never by text, and it never shows what an unknown error says. An
// error that comes after the answer has begun aborts the connection, so that
// nobody takes half an answer for a whole one.
//
// # Failure
//
//   - The port is taken: Start says which, and what to do.
//   - Accepting fails later: [Server.Failed] delivers the error once.
//   - A handler panics: 500 with a logged stack, the server lives on.
//   - A client is slow: its body must progress within Config.BodyIdleTimeout,
//     its reading within Config.WriteTimeout; then the connection is closed.
//   - A health check hangs: it is reported as failed, not started a second
//     time, and waited for by Stop.
//
// # Why our own route table
//
// The bodies that clients send come in several forms (one object, an array,
// NDJSON; numbers or decimal strings; nothing, as application/octet-stream),
// are parsed from bytes by the packages that own the records, and are often
// streamed. A framework that binds a Go struct per operation would be stepped
// around on most routes, and its document would then describe something else
// than what runs. So a [Route] is a plain value (pattern, limits, documented
// types, handler), the OpenAPI 3.1 document is rendered from the very table
// that is registered on chi, and the constraint tags that appear in a schema
// (required, minimum, maximum, minLength, maxLength, enum) are the ones that
// [Decode] enforces.
package chassis
