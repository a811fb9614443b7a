package part

import (
	"fmt"

	"github.com/marketprism/marketprism/internal/market"
)

// AppendLevels writes levels as JSON: [["price","amount"],…].
func AppendLevels(dst []byte, levels []market.Level) []byte {
	dst = append(dst, '[')
	for i := range levels {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[', '"')
		dst = levels[i].Price.AppendText(dst)
		dst = append(dst, '"', ',', '"')
		dst = levels[i].Amount.AppendText(dst)
		dst = append(dst, '"', ']')
	}
	return append(dst, ']')
}

// ParseLevels reads what AppendLevels wrote into the batch's arena.
func ParseLevels(text []byte, into *market.Batch) ([]market.Level, error) {
	mark := into.LevelMark()
	p := levelParser{text: text}
	p.want('[')
	for p.err == nil && !p.at(']') {
		if into.LevelMark() > mark {
			p.want(',')
		}
		p.want('[')
		price := p.number()
		p.want(',')
		amount := p.number()
		p.want(']')
		into.Level(market.Level{Price: price, Amount: amount})
	}
	p.want(']')
	if p.err == nil && p.pos != len(text) {
		p.fail()
	}
	if p.err != nil {
		return nil, p.err
	}
	if into.LevelMark() == mark {
		return nil, nil
	}
	return into.LevelsFrom(mark), nil
}

type levelParser struct {
	text []byte
	pos  int
	err  error
}

func (p *levelParser) fail() {
	if p.err == nil {
		p.err = fmt.Errorf("levels are not [[\"price\",\"amount\"],…] at byte %d", p.pos)
	}
}

func (p *levelParser) at(c byte) bool { return p.pos < len(p.text) && p.text[p.pos] == c }

func (p *levelParser) want(c byte) {
	if !p.at(c) {
		p.fail()
		return
	}
	p.pos++
}

// number reads a quoted decimal; "" is absent.
func (p *levelParser) number() market.Decimal {
	p.want('"')
	start := p.pos
	for p.pos < len(p.text) && p.text[p.pos] != '"' {
		p.pos++
	}
	text := p.text[start:p.pos]
	p.want('"')
	if p.err != nil || len(text) == 0 {
		return market.Decimal{}
	}
	d, err := market.ParseDecimal(text)
	if err != nil {
		p.err = err
	}
	return d
}
