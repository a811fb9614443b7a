// Package client asks a running MarketPrism from another Go program.
//
//	c, err := client.New(client.Config{Gateways: []string{"https://md.example:8083"}, Key: key})
//	for trade, err := range client.Rows[client.Trade](ctx, c, client.Query{Exchange: "binance", Symbol: "BTC-USDT"}) { … }
//
// A [Client] has one part for each service; each method of a part is one operation of the
// service's interface, docs/api. It is safe for concurrent use, and holds no connection
// open but those of streams. It imports nothing of the program: whoever uses it gets the
// standard library and a WebSocket.
//
// # Whom it asks
//
// Gateways lead to every service, and are the only ones to be shown a credential; of
// several the next one is asked when one does not answer. [Config.Services] names services
// that are asked directly, where they answer everybody.
//
// # What it repeats
//
// A request that only reads, or that the service takes once however often it comes (rows
// of a store, messages and tasks with a key), is repeated when nobody answers, or the
// answer is 429, 502, 503 or 504: after what Retry-After says, else after a pause that
// doubles. All others are sent once. Every call ends with its context.
//
// # Errors
//
// An answer that says no is an [*Error] with the status, the code and the request's id. An
// answer of many rows that was cut off is [ErrCutOff], never a short answer.
//
// # Streams
//
// Iterators over live records, messages of the broker, and pages go on by themselves where
// a lost connection has left them; where something was missed they say so.
package client
