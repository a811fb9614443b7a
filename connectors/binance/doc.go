// Package binance speaks to Binance: the spot market, and the USD-M perpetual and
// delivery futures.
//
// # Fields
//
// Amounts are in base on every market. Times are Binance's milliseconds, as
// nanoseconds.
//
//	record      exchange time                     seq
//	trade       T (REST: time)                    t, without holes per symbol
//	 aggregate  T                                 a, without holes per symbol
//	book delta  spot: E; futures: T               u, with U as first and pu (spot: U-1) as previous
//	 snapshot   spot: none; futures: T            lastUpdateId
//	book ticker spot: none; futures: T            u, which proves an order and no completeness
//	ticker, candle, mark and index price, funding E   none
//	liquidation o.T                               none
//	open interest, ratios: time, timestamp        none
//
// Sources: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
// and https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
package binance
