package messages

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
)

// keyBucket holds the key of receipts, under keyName, in the program's account.
const (
	keyBucket = "broker_keys"
	keyName   = "receipts"
	macSize   = 16
)

// Seal signs receipts, so that whoever shows one was given it. It is safe for
// concurrent use.
type Seal struct{ key []byte }

// OpenSeal reads the key, and makes it if there is none yet.
func OpenSeal(ctx context.Context, h *broker.Handle) (*Seal, error) {
	nc, err := h.ConnectAs(ctx, broker.Messages)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: keyBucket, Description: "keys that sign what the broker hands out"})
	if err != nil {
		return nil, fmt.Errorf("opening the bucket of keys: %w", err)
	}
	fresh := make([]byte, sha256.Size)
	rand.Read(fresh) // never fails
	if _, err := kv.Create(ctx, keyName, fresh); err == nil {
		return &Seal{fresh}, nil
	} else if !errors.Is(err, jetstream.ErrKeyExists) {
		return nil, fmt.Errorf("making the key of receipts: %w", err)
	}
	e, err := kv.Get(ctx, keyName)
	if err != nil {
		return nil, fmt.Errorf("reading the key of receipts: %w", err)
	}
	return &Seal{e.Value()}, nil
}

// Sign makes a receipt of text, for one purpose.
func (s *Seal) Sign(purpose, text string) string {
	return base64.RawURLEncoding.EncodeToString(append(s.mac(purpose, text), text...))
}

// Open returns the text of a receipt that was signed for purpose, or a [*Refusal].
func (s *Seal) Open(purpose, receipt string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(receipt)
	if err != nil || len(raw) <= macSize || !hmac.Equal(raw[:macSize], s.mac(purpose, string(raw[macSize:]))) {
		return "", Refuse(Malformed, "token", "the token was not given out by this broker, or not for this")
	}
	return string(raw[macSize:]), nil
}

func (s *Seal) mac(purpose, text string) []byte {
	h := hmac.New(sha256.New, s.key)
	fmt.Fprintf(h, "%s\x00%s", purpose, text)
	return h.Sum(nil)[:macSize]
}
