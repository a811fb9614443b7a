package app

import "testing"

func TestStreamOf(t *testing.T) {
	for id, want := range map[string]string{
		"root/collector/binance-spot/BTC-USDT":              "binance spot BTC-USDT",
		"root/collector/deribit-perpetual/BTC%2FUSD":        "deribit perpetual BTC/USD",
		"root/collector/binance-spot/session/1":             "",
		"root/collector/binance-spot/subscriptions":         "",
		"root/collector/binance-spot":                       "",
		"root/storage/binance-spot/BTC-USDT":                "",
		"root/collector/nodash/BTC-USDT":                    "",
		"root/collector//BTC-USDT":                          "",
		"root/collector/binance-spot/BTC-USDT/further-down": "",
	} {
		s, ok := streamOf(id)
		got := ""
		if ok {
			got = s.Exchange + " " + s.Market + " " + s.Symbols[0]
		}
		if got != want || (pausing{}).Owns(id) != ok {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
}
