package catalogue

// Label is a label that metrics may have.
type Label struct {
	Name    string
	Meaning string // in Markdown
}

const (
	service  = "service"
	exchange = "exchange"
	market   = "market"
	symbol   = "symbol"
	channel  = "channel"
	kind     = "kind"
	message  = "message"
	table    = "table"
	stream   = "stream"
	consumer = "consumer"
	job      = "job"
	code     = "code"
	route    = "route"
	outcome  = "outcome"

	serviceName = "service_name" // of promised names
	mountpoint  = "mountpoint"
)

// Labels are all labels that a metric may have. Each is bounded by the program or
// by its configuration.
func Labels() []Label {
	return []Label{
		{service, "the service, such as `market-data-collector`"},
		{exchange, "the exchange, such as `binance`; empty for what belongs to none"},
		{market, "the market of the exchange, such as `spot`"},
		{symbol, "the instrument, such as `BTC-USDT`; `other` sums up what is above `market-data-collector.streams.metric_streams`"},
		{channel, "the exchange's channel, as its connector names it"},
		{kind, "the kind of actor, such as `session`; never an actor's name"},
		{message, "the type of a message or request"},
		{table, "the table of the store, such as `trades`"},
		{stream, "the JetStream stream; `JOURNAL_<k>` are the journal's shards"},
		{consumer, "the durable consumer of a JetStream stream, or the kind of live connection: `websocket` or `sse`"},
		{job, "the scheduler's job, or what an operation of the store does, such as `archive`"},
		{code, "the HTTP status"},
		{route, "the pattern of the route, such as `/thing/{id}`; `unmatched` for requests that match none"},
		{outcome, "what became of it; the values are few and fixed"},
		{serviceName, "as `service`, of metrics whose names are older than the prefix"},
		{mountpoint, "where a file system is mounted; at most 32 of a machine"},
	}
}
