package client

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
)

// Decimal is a number with every digit that it was given with; empty where there is
// none. It is read from a JSON number or text, and written as text.
type Decimal string

// Float64 is the nearest float64; 0 for none.
func (d Decimal) Float64() float64 {
	f, err := strconv.ParseFloat(string(d), 64)
	if err != nil {
		return 0
	}
	return f
}

// Rat is the number itself; false for none.
func (d Decimal) Rat() (*big.Rat, bool) { return new(big.Rat).SetString(string(d)) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Decimal) UnmarshalJSON(text []byte) error {
	s := string(text)
	switch {
	case s == "null":
		return nil
	case text[0] == '"':
		if err := json.Unmarshal(text, &s); err != nil {
			return err
		}
	}
	if s != "" {
		if _, err := strconv.ParseFloat(s, 64); err != nil {
			return fmt.Errorf("%q is no number", s)
		}
	}
	*d = Decimal(s)
	return nil
}

// Level is one price of a book. It is read from [price, amount] or an object of them,
// and written as the former.
type Level struct {
	Price  Decimal `json:"price"`
	Amount Decimal `json:"amount"`
}

// MarshalJSON implements json.Marshaler.
func (l Level) MarshalJSON() ([]byte, error) { return json.Marshal([2]Decimal{l.Price, l.Amount}) }

// UnmarshalJSON implements json.Unmarshaler.
func (l *Level) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		var pair [2]Decimal
		if err := json.Unmarshal(text, &pair); err != nil {
			return err
		}
		l.Price, l.Amount = pair[0], pair[1]
		return nil
	}
	type plain Level
	return json.Unmarshal(text, (*plain)(l))
}
