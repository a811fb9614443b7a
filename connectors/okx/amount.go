package okx

import (
	"math/big"
	"math/bits"

	"github.com/marketprism/marketprism/internal/market"
)

// size is the amount in one contract, ready to multiply by.
type size struct {
	set     bool
	factor  market.Decimal
	coef    uint64
	scale   uint8
	plain   bool // coef holds it
	natural bool // it is 1
}

func sizeOf(i *market.Instrument) size {
	if !i.ContractSize.IsSet() {
		return size{}
	}
	coef, ok := i.ContractSize.Coefficient()
	return size{
		set: true, factor: i.ContractSize, coef: uint64(coef), scale: i.ContractSize.Scale(), plain: ok && coef > 0,
		natural: coef == 1 && i.ContractSize.Scale() == 0,
	}
}

// maxCoefficient bounds what a decimal holds beside its scale, maxScale its scale.
const (
	maxCoefficient = 1e18 - 1
	maxScale       = 100
)

// amount is a number of contracts as an amount: the exact product, its digits
// those of both.
func (z *size) amount(contracts market.Decimal) market.Decimal {
	if !z.set || z.natural || !contracts.IsSet() {
		return contracts
	}
	c, ok := contracts.Coefficient()
	if ok && c >= 0 && z.plain {
		scale := contracts.Scale() + z.scale
		if high, low := bits.Mul64(uint64(c), z.coef); high == 0 && low <= maxCoefficient && scale <= maxScale {
			return market.NewDecimal(int64(low), scale)
		}
	}
	return product(contracts, z.factor)
}

// product multiplies numbers of any length.
func product(a, b market.Decimal) market.Decimal {
	x, y := digitsOf(a), digitsOf(b)
	return decimalOf(x.Mul(x, y), int(a.Scale())+int(b.Scale()))
}

// contracts is [size.amount] undone: the number of contracts as it was sent.
func contracts(i *market.Instrument, amount market.Decimal) market.Decimal {
	z := sizeOf(i)
	if !z.set || z.natural || !amount.IsSet() || amount.Scale() < z.scale {
		return amount
	}
	if c, ok := amount.Coefficient(); ok && z.plain {
		if c%int64(z.coef) == 0 {
			return market.NewDecimal(c/int64(z.coef), amount.Scale()-z.scale)
		}
		return amount
	}
	x, y := digitsOf(amount), digitsOf(z.factor)
	if y.Sign() == 0 {
		return amount
	}
	x, rest := x.QuoRem(x, y, new(big.Int))
	if rest.Sign() != 0 {
		return amount
	}
	return decimalOf(x, int(amount.Scale())-int(z.scale))
}

// digitsOf is a number without its point.
func digitsOf(d market.Decimal) *big.Int {
	text := d.AppendText(nil)
	whole := text[:0]
	for _, c := range text {
		if c != '.' {
			whole = append(whole, c)
		}
	}
	n, ok := new(big.Int).SetString(string(whole), 10)
	if !ok {
		panic("okx: a decimal number whose text is none: " + d.String())
	}
	return n
}

// decimalOf puts the point back. A number beyond what decimals hold is absent.
func decimalOf(n *big.Int, scale int) market.Decimal {
	text := n.Append(nil, 10)
	sign := 0
	if n.Sign() < 0 {
		sign = 1
	}
	for len(text)-sign <= scale {
		text = append(text[:sign], append([]byte{'0'}, text[sign:]...)...)
	}
	if scale > 0 {
		at := len(text) - scale
		text = append(text[:at], append([]byte{'.'}, text[at:]...)...)
	}
	d, err := market.ParseDecimal(text)
	if err != nil {
		return market.Decimal{}
	}
	return d
}
