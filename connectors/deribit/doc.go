// Package deribit speaks to Deribit: perpetuals, dated futures, options and the
// spot market, over JSON-RPC.
//
// # Fields
//
// Times are Deribit's milliseconds, as nanoseconds. Prices and amounts keep the
// digits of its JSON numbers.
//
//	record           exchange time  seq
//	trade            timestamp      trade_seq, without holes per instrument; the id is trade_id
//	liquidation      timestamp      trade_seq of the trade that it is
//	book delta       timestamp      change_id, with prev_change_id as previous
//	 snapshot        timestamp      change_id
//	book ticker      timestamp      none; several may share a millisecond, so that they are unkeyed
//	ticker, mark and index price, open interest, funding: timestamp
//	candle           none; its key is tick, the open time
//	volatility index timestamp      none
//
// # Units
//
// Deribit does not count in contracts. Amounts of inverse perpetuals and futures
// (BTC-PERPETUAL, BTC-25DEC26: settled in their base) are in their quote, US
// dollars, in books, quotes, trades and liquidations alike; trades repeat the
// amount as quote amount. Amounts of linear perpetuals and futures
// (BTC_USDC-PERPETUAL), options and the spot market are in base. The open interest
// is in the same unit: quote for inverse contracts, else base. Volumes of tickers
// and candles are in base everywhere.
// https://docs.deribit.com/api-reference/market-data/public-get_last_trades_by_instrument
//
// Prices are in quote per base, but for options that are settled in their base
// (BTC-25DEC26-60000-C): their premium is in base, and their quote, US dollars, is
// that of the strike.
//
// # Funding
//
// Deribit pays funding all the time, not at hours: rate is current_funding, the
// rate in force now as a fraction for eight hours; it names no next time. What
// was paid over the last eight hours (funding_8h) is no forecast, and not kept.
//
// # Indices
//
// The volatility index of a currency (DVOL) belongs to no instrument. The inverse
// perpetual of that currency carries it: that of btc_usd is a record of BTC-USD
// on the perpetual market. The same holds for price indices; each ticker carries
// its own.
//
// # Candles
//
// Deribit does not say when a candle is final. It is once the next interval has begun
// on the same connection: its last values are then given again, as closed. That of an
// interval during which a connection was lost is never marked.
//
// # Liquidations
//
// A liquidation is what a trade says of itself. One that was missed comes back with
// its trade, when that is fetched.
//
// Sources: https://docs.deribit.com/articles/notifications and the page of each
// channel under https://docs.deribit.com/subscriptions
package deribit
