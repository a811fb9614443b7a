package identity

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Header carries a token between services. Nobody else may send it: the gateway
// removes it from what clients send.
const Header = "X-MarketPrism-Identity"

// Bounds of tokens.
const (
	// Lifetime of a token; Skew is how far the clocks of two nodes may be apart.
	Lifetime = 45 * time.Second
	Skew     = 10 * time.Second
	maxToken = 4 << 10
	version  = "mp1"
)

// ErrToken: a token that is malformed, expired, for another service, or not signed
// with a key that may sign it.
var ErrToken = errors.New("not a valid identity")

// claims are what a token says.
type claims struct {
	Subject  string  `json:"sub"`
	Kind     Kind    `json:"knd"`
	Role     Role    `json:"rol"`
	Scopes   []Scope `json:"scp,omitempty"`
	Audience string  `json:"aud"`
	Issued   int64   `json:"iat"`           // Unix seconds
	Expires  int64   `json:"exp"`           // Unix seconds
	Ends     int64   `json:"end,omitempty"` // Unix seconds at which the client's own credential ends; 0 is never
}

// A token is mp1.<key id>.<claims>.<signature>, the last two in base64url without
// padding; the signature covers everything before its dot.
func encode(kid string, c claims, key ed25519.PrivateKey) (string, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding an identity: %w", err)
	}
	signed := version + "." + kid + "." + base64.RawURLEncoding.EncodeToString(text)
	if len(signed) > maxToken-100 {
		return "", fmt.Errorf("encoding an identity: %d bytes are too many", len(signed))
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(signed))), nil
}

// parts takes a token apart; nothing of it is checked yet.
func parts(token string) (kid, signed, body, signature string, ok bool) {
	if len(token) > maxToken {
		return "", "", "", "", false
	}
	cut := strings.LastIndexByte(token, '.')
	if cut < 0 {
		return "", "", "", "", false
	}
	signed, signature = token[:cut], token[cut+1:]
	fields := strings.Split(signed, ".")
	if len(fields) != 3 || fields[0] != version {
		return "", "", "", "", false
	}
	return fields[1], signed, fields[2], signature, true
}

// decode reads what a token says, once its signature is known to be right.
func decode(body string) (claims, bool) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return claims{}, false
	}
	var c claims
	if json.Unmarshal(text, &c) != nil || c.Subject == "" || !c.Kind.known() {
		return claims{}, false
	}
	return c, true
}

func (c claims) principal() Principal {
	p := Principal{Subject: c.Subject, Kind: c.Kind, Role: c.Role, Scopes: c.Scopes}
	if c.Ends > 0 {
		p.Expiry = time.Unix(c.Ends, 0).UTC()
	}
	return p
}
