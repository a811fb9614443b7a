// Package ui serves the dashboard: a page, its script, its style and its font, embedded
// in the program.
//
// It holds no state and decides nothing. What the page shows it asks of the services,
// under the prefixes that the gateway has (/api/v1/storage/…, /api/v1/collector/…), so
// that the same page works at the monitoring service, whose mount has them too, and at the
// gateway. Where clients have logins the pages are at the gateway alone, which knows them; the
// monitoring service sends browsers there. The files hold no data, so everybody gets them.
//
// # Files
//
// dist holds what the generator (folder bundle) made of the sources in folder web: names
// carry a hash of their content and are kept for ever by browsers; index.html names them
// and is asked for anew each time. dist/sources.sum is the hash of the sources that it was
// made of; a test compares it, so that a forgotten `go generate` is found without npm.
package ui

//go:generate go run ./bundle
