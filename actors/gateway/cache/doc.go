// Package cache keeps answers of the gateway for a short while.
//
// # Authority
//
// It is off unless configured, and then keeps only what a rule names: answers of one
// service to one client. The key holds who asked, so that nobody is shown what somebody
// else may see; [Config.Validate] refuses rules for market data, which is never kept.
// The memory is bounded; the answer that was not asked for the longest goes first.
//
// A [Store] is safe for concurrent use and is lost with the process.
package cache
