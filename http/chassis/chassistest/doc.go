// Package chassistest starts façades for their tests, calls them, and attacks
// them, asserting that they stay polite: malformed input is refused with a 4xx
// problem+json, nothing is answered with 5xx, nothing hangs, and the server is
// as healthy afterwards as it was before.
//
// A façade's test starts its real server with [Serve] and calls
//
//	chassistest.Run(t, server.URL(), chassistest.Described(t, server.URL()))
//
// with the routes as the server itself describes them, or with a list of its
// own that holds valid bodies and parameters, so that the attack reaches
// further than the first check.
package chassistest
