package simulator

import (
	"math"

	"github.com/marketprism/marketprism/internal/market"
)

// Shape is how an instrument trades.
type Shape struct {
	// Price is what the price moves about.
	Price float64
	// Amount is that of a usual order, in the unit of records.
	Amount float64
	// PriceTick and AmountStep are the smallest steps of prices and amounts, with as
	// many digits as the exchange writes.
	PriceTick, AmountStep market.Decimal
}

// usualOrder is the worth of a usual order, in USD.
const usualOrder = 2000

// dollars are about what coins cost, so that a demonstration looks like the world.
var dollars = map[string]float64{
	"BTC": 61000, "ETH": 2600, "BNB": 520, "SOL": 150, "XRP": 0.6, "DOGE": 0.11, "ADA": 0.35, "TRX": 0.13, "AVAX": 24,
	"SHIB": 0.000014, "DOT": 4.6, "LINK": 10.5, "BCH": 350, "LTC": 62, "NEAR": 4, "UNI": 6, "APT": 6.2, "ATOM": 4.8,
	"PEPE": 0.000008, "BONK": 0.00002, "FLOKI": 0.00013, "AAVE": 105, "MKR": 1900, "TON": 6.3, "ETC": 19, "FIL": 3.7,
	"USDT": 1, "USDC": 1, "USD": 1, "FDUSD": 1, "TUSD": 1, "DAI": 1, "BUSD": 1, "EUR": 1.09, "PAXG": 2430, "STETH": 2600,
	"WBTC": 61000, "TRY": 0.03, "BRL": 0.18, "GBP": 1.28,
}

// Dollars is about what a coin costs, by its code; a made-up or unknown one costs
// what its name says.
func Dollars(coin string) float64 {
	if p, ok := dollars[coin]; ok {
		return p
	}
	// Between 0.05 and 200, evenly over the magnitudes.
	return 0.05 * math.Pow(4000, unit(hashText(0, coin)))
}

// ShapeOf is the shape of an instrument whose amounts are in base, or in quote
// where it is settled in base (an inverse contract). Ticks and steps that the
// table does not know are made up.
func ShapeOf(i *market.Instrument) Shape {
	quote := Dollars(i.Quote)
	price := Dollars(i.Base) / quote
	if i.Market == market.Future {
		price *= 1.01 // carried to its expiry
	}
	s := Shape{Price: price, PriceTick: i.PriceTick, AmountStep: i.AmountStep}
	if i.Market == market.Option {
		// A price of some hundred ticks, whatever it is in.
		s.Price = 0.03 * (0.3 + 3*unit(hashText(1, i.Native)))
		if i.PriceTick.IsSet() {
			s.Price = i.PriceTick.Float64() * (60 + 600*unit(hashText(1, i.Native)))
		}
	}
	s.Amount = usualOrder / quote / price
	if i.Settle == i.Base && i.Quote == "USD" && i.Market != market.Spot {
		s.Amount = usualOrder
	}
	if i.Market == market.Option {
		s.Amount = 2
	}
	if !s.PriceTick.IsSet() {
		s.PriceTick = stepFor(s.Price / 20000)
	}
	if !s.AmountStep.IsSet() {
		s.AmountStep = stepFor(s.Amount / 500)
	}
	return s
}

// stepFor is the power of ten next below a size.
func stepFor(size float64) market.Decimal {
	n := int(math.Floor(math.Log10(size)))
	if n >= 0 {
		return market.NewDecimal(1, 0)
	}
	return market.NewDecimal(1, uint8(min(-n, 10)))
}

// Coin is the code of the n-th made-up coin, n from 0: four letters that no coin
// of the built-in tables has.
func Coin(n int) string {
	const first, vowels, second = "QXZVWJKY", "AEIOU", "BDFGKLMNPRSTVZ"
	name := []byte{'Z', 0, 0, 0, 0}
	name[1] = vowels[n%len(vowels)]
	n /= len(vowels)
	name[2] = second[n%len(second)]
	n /= len(second)
	name[3] = vowels[n%len(vowels)]
	n /= len(vowels)
	name[4] = first[n%len(first)]
	n /= len(first)
	for ; n > 0; n /= len(second) {
		name = append(name, second[n%len(second)])
	}
	return string(name)
}
