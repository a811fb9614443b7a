package client

import (
	"time"
)

// CollectorStatus is what is collected, and how much of it.
type CollectorStatus struct {
	CollectorMetrics   *CollectorTotals          `json:"collector_metrics,omitempty"`
	DataStats          map[string]DataStats      `json:"data_stats,omitempty"`
	Exchanges          map[string]ExchangeStatus `json:"exchanges,omitempty"`
	LiveStreams        *LiveStats                `json:"live_streams,omitempty"`
	Running            bool                      `json:"running"`
	Service            string                    `json:"service,omitempty"`
	StartTime          time.Time                 `json:"start_time,omitzero"`
	SupportedDataTypes []string                  `json:"supported_data_types,omitempty"`
	SupportedExchanges []string                  `json:"supported_exchanges,omitempty"`
	UptimeSeconds      float64                   `json:"uptime_seconds"`
}

// CollectorTotals is what was collected since the start.
type CollectorTotals struct {
	ErrorsCount       int64      `json:"errors_count"`
	LastMessageTime   *time.Time `json:"last_message_time,omitempty"`
	MessagesProcessed int64      `json:"messages_processed"`
	MessagesPublished int64      `json:"messages_published"`
}

// DataStats is what was collected of one kind.
type DataStats struct {
	Gaps            int64      `json:"gaps"`
	LastMessageTime *time.Time `json:"last_message_time,omitempty"`
	OpenGaps        int64      `json:"open_gaps"`
	Records         int64      `json:"records"`
}

// ExchangeStatus is how an exchange is.
type ExchangeStatus struct {
	ActiveSubscriptions int64      `json:"active_subscriptions"`
	Connected           bool       `json:"connected"`
	Enabled             bool       `json:"enabled"`
	ErrorsCount         int64      `json:"errors_count"`
	LastMessageTime     *time.Time `json:"last_message_time,omitempty"`
	MessagesCount       int64      `json:"messages_count"`
	SupportedSymbols    int64      `json:"supported_symbols"`
}

// LiveStats is who follows live streams.
type LiveStats struct {
	Bytes           int64            `json:"bytes"`
	Clients         map[string]int64 `json:"clients,omitempty"`
	Coalesced       int64            `json:"coalesced"`
	Dropped         int64            `json:"dropped"`
	Messages        int64            `json:"messages"`
	SlowDisconnects int64            `json:"slow_disconnects"`
	Subscriptions   int64            `json:"subscriptions"`
}

// Book is an order book as it is now.
type Book struct {
	Age          *float64   `json:"age"` // seconds since the last change was received; null before the first
	AskLevels    int64      `json:"ask_levels"`
	Asks         []Level    `json:"asks"`       // best first
	BidLevels    int64      `json:"bid_levels"` // that are known
	Bids         []Level    `json:"bids"`       // best first
	Depth        int64      `json:"depth"`      // as asked
	Exchange     string     `json:"exchange"`   // as asked
	Market       string     `json:"market"`
	NativeSymbol string     `json:"native_symbol"`
	ProvenAsks   int64      `json:"proven_asks"`
	ProvenBids   int64      `json:"proven_bids"`       // levels, from the best on, among which none can be missing
	Received     time.Time  `json:"received,omitzero"` // enhanced alone, as are the counts
	Sequence     int64      `json:"sequence"`          // the exchange's
	State        string     `json:"state"`             // only a live book is proven right: live, stale, syncing
	Symbol       string     `json:"symbol"`            // as asked
	Timestamp    *time.Time `json:"timestamp"`         // of the last change, by the exchange's clock
}

// Instrument is one symbol of a market of an exchange.
type Instrument struct {
	Collected    bool     `json:"collected"`
	DataTypes    []string `json:"data_types"`
	Market       string   `json:"market"`
	NativeSymbol string   `json:"native_symbol"`
	Origins      []string `json:"origins"` // why it is collected: named by the configuration, among the most traded, or subscribed to at run time
	Symbol       string   `json:"symbol"`
}

// Subscription is a change of what is collected.
type Subscription struct {
	Action    string   `json:"action"`               // subscribe, unsubscribe
	DataTypes []string `json:"data_types,omitempty"` // kinds; none means those that the configuration names
	Market    string   `json:"market,omitempty"`     // needed where several markets list a symbol: spot, perpetual, future, option
	Symbols   []string `json:"symbols"`              // in any spelling, or patterns: *-USDT
}

// Subscribed is what came of a change of what is collected.
type Subscribed struct {
	Action              string    `json:"action"`
	ActiveSubscriptions int64     `json:"active_subscriptions"` // that the market has now
	DataTypes           []string  `json:"data_types"`
	Exchange            string    `json:"exchange"`
	Message             string    `json:"message"`
	Success             bool      `json:"success"`
	Symbols             []string  `json:"symbols"` // that are concerned, canonical
	Timestamp           time.Time `json:"timestamp"`
}

// MarketChanges is what was changed at run time of one market.
type MarketChanges struct {
	Changes  []SymbolChange `json:"changes"` // in order; later ones win
	Exchange string         `json:"exchange"`
	Loaded   bool           `json:"loaded"` // false while what was changed before this start is not known yet
	Market   string         `json:"market"`
}

// SymbolChange is one change of what is collected.
type SymbolChange struct {
	Action    string   `json:"action"` // subscribe, unsubscribe
	DataTypes []string `json:"data_types"`
	Symbol    string   `json:"symbol"` // canonical, or a pattern
}
