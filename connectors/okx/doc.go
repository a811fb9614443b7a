// Package okx speaks to OKX (API v5): spot, perpetual swaps, expiry futures and
// options.
//
// # Fields
//
// Times are OKX's milliseconds, as nanoseconds.
//
//	record        exchange time   seq
//	trade         ts              tradeId, without holes per instrument
//	 aggregate    ts              tradeId of the last of them; prev_seq is the one before the first
//	book delta    ts              seqId, with prevSeqId as previous; absent in frames of before 2023
//	book ticker   ts              seqId, which proves an order and no completeness
//	candle        none            none
//	all others    ts              none
//
// # Amounts
//
// OKX counts derivatives in contracts. Every amount here (trades, books, quotes,
// liquidations) is contracts × ctVal × ctMult, exactly:
//
//   - spot: base, as sent;
//   - linear swaps and futures, and options: base;
//   - inverse swaps and futures (settled in base, BTC-USD): the quote currency,
//     that is US dollars. Amount ÷ price is base.
//
// The instrument's ContractSize is ctVal × ctMult, so that amount ÷ ContractSize
// is the number of contracts, and its AmountStep is lotSz in the unit of amounts.
// Volumes of tickers and candles are base on every market, because OKX gives them
// so (volCcy). Open interest has its own fields: contracts, base (oiCcy), and
// quote, which is in US dollars (oiUsd).
//
// # Other differences
//
// A funding record's next_funding_time is fundingTime, when its rate is settled;
// interval_hours is the time from there to the funding after it. Candles of 6
// hours and more are those of UTC (candle1Dutc), not of Hong Kong. An index is
// named by its pair, and its price is a record of each instrument that has it.
// The side of a liquidation is the forced order's. The ratios are ratios only: OKX
// gives no shares of longs and shorts.
//
// Sources: https://www.okx.com/docs-v5/en/#order-book-trading-market-data and
// https://www.okx.com/docs-v5/en/#public-data
package okx
