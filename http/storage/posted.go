package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
)

// head is what all POSTed records have in common.
type head struct {
	Timestamp time.Time `json:"timestamp" required:"true" doc:"event time: RFC 3339, without zone (read as UTC), or a Unix epoch in s, ms, µs or ns; one that lies ahead is stored and flagged future" example:"2024-08-08T12:00:00.123Z"`
	Symbol    string    `json:"symbol" required:"true" minLength:"1" maxLength:"64" doc:"any spelling: BTCUSDT, BTC-USDT, btc_usdt" example:"BTCUSDT"`
	Exchange  string    `json:"exchange" required:"true" minLength:"1" maxLength:"64" doc:"any name; it need not be an exchange that is collected" example:"binance"`
	Market    string    `json:"market" enum:"spot,perpetual,future,option" default:"spot" doc:"type of market"`
}

// number is a decimal as clients send it: a JSON number or text that holds one.
// It keeps every digit.
type number struct{ market.Decimal }

// JSONSchema describes it.
func (number) JSONSchema() map[string]any {
	return map[string]any{"type": []string{"number", "string"}, "description": "number, or text that holds one; every digit is kept"}
}

// side is the aggressor's, in any case.
type side struct{ market.Side }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *side) UnmarshalText(text []byte) error {
	if !s.Parse(strings.ToLower(string(text))) {
		return errors.New("must be buy, sell or unknown")
	}
	return nil
}

// JSONSchema describes it.
func (side) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "enum": []string{"buy", "sell", "unknown"}, "description": "the aggressor's"}
}

// identifier is a trade's id, as text or number.
type identifier struct{ market.ID }

// maxIdentifier is the longest id, in bytes.
const maxIdentifier = 128

// UnmarshalJSON implements json.Unmarshaler.
func (id *identifier) UnmarshalJSON(b []byte) error {
	text := string(b)
	switch {
	case b[0] == '"':
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	case strings.Trim(text, "0123456789") != "":
		return errors.New("must be text or a whole number")
	}
	if text == "" || len(text) > maxIdentifier || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("must be 1 to %d bytes of plain text", maxIdentifier)
	}
	id.ID = market.TextID(text)
	return nil
}

// JSONSchema describes it.
func (identifier) JSONSchema() map[string]any {
	return map[string]any{"type": []string{"string", "integer"}, "maxLength": maxIdentifier,
		"description": "the exchange's id; the same id at the same timestamp is the same trade"}
}

// amount is a field that must not be negative.
type amount struct {
	pointer string
	value   number
}

// notNegative adds the fields that are.
func notNegative(fields []chassis.FieldError, amounts ...amount) []chassis.FieldError {
	for _, a := range amounts {
		if a.value.Sign() < 0 {
			fields = append(fields, chassis.Field(a.pointer, "must not be negative"))
		}
	}
	return fields
}
