package journal

import "github.com/cespare/xxhash/v2"

// Shard says to which of shards a collected market-data stream belongs: xxHash64
// (seed 0) over exchange, 0x00, market, 0x00, symbol, modulo shards. It is part
// of the format: a stream never changes its shard. External rows go to shard 0
// whatever their instrument.
func Shard(exchange, market, symbol string, shards int) int {
	if shards == 1 {
		return 0
	}
	var d xxhash.Digest
	d.Reset()
	d.WriteString(exchange)
	d.WriteString("\x00")
	d.WriteString(market)
	d.WriteString("\x00")
	d.WriteString(symbol)
	return int(d.Sum64() % uint64(shards))
}
