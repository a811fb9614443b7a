package storage_test

import (
	"math/rand/v2"
	"strconv"

	"github.com/marketprism/marketprism/internal/market"
)

// anything is a Visitor that fills a record with what a store can hold.
type anything struct {
	r *rand.Rand
	b *market.Batch
}

func (a anything) some() bool { return a.r.IntN(3) > 0 }

func (a anything) decimal() market.Decimal {
	if a.r.IntN(10) == 0 {
		return market.MustDecimal("-12345678901234567890.123456789012345678")
	}
	return market.NewDecimal(a.r.Int64N(1e15), uint8(a.r.IntN(12)))
}

func (a anything) Instrument(**market.Instrument)      {}
func (a anything) Time(_ *market.Field, v *int64)      { *v = a.r.Int64N(2e18) }
func (a anything) Count(_ *market.Field, v *int64)     { *v = a.r.Int64N(5) }
func (a anything) Bool(_ *market.Field, v *bool)       { *v = a.some() }
func (a anything) Enum(_ *market.Field, v market.Enum) { v.SetCode(uint8(a.r.IntN(3))) }
func (a anything) Flags(v *market.Flags)               { *v = market.Flags(a.r.Uint32N(1 << 10)) }
func (a anything) Word(_ *market.Field, v *string) {
	*v = [...]string{"", "live", "1m", "ä\"\n"}[a.r.IntN(4)]
}
func (a anything) Decimal(_ *market.Field, v *market.Decimal) {
	if a.some() {
		*v = a.decimal()
	}
}

func (a anything) Int(_ *market.Field, v *market.OptInt) {
	if a.some() {
		*v = market.Int(a.r.Int64() - 1<<62)
	}
}

func (a anything) ID(_ *market.Field, v *market.ID) {
	*v = market.TextID([...]string{"", "17", "uuid-", "007"}[a.r.IntN(4)] + strconv.Itoa(a.r.IntN(1e6)))
}

func (a anything) Levels(_ *market.Field, v *[]market.Level) {
	mark := a.b.LevelMark()
	for range a.r.IntN(4) {
		a.b.Level(market.Level{Price: a.decimal(), Amount: a.decimal()})
	}
	*v = a.b.LevelsFrom(mark)
}
