package messages

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/bucket"
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
	keys := bucket.New(
		func(ctx context.Context) (*nats.Conn, error) { return h.ConnectAs(ctx, broker.Messages) },
		bucket.Options{Name: keyBucket, Description: "keys that sign what the broker hands out"},
	)
	defer keys.Close()
	return sealOf(ctx, keys)
}

func sealOf(ctx context.Context, keys bucket.Store) (*Seal, error) {
	fresh := make([]byte, sha256.Size)
	rand.Read(fresh) // never fails
	for try := 1; ; try++ {
		seal, err := openSeal(ctx, keys, fresh)
		if seal != nil || err != nil && !errors.Is(err, bucket.ErrUnavailable) || try == sealTries {
			return seal, err
		}
		select {
		case <-time.After(sealPause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

const (
	// sealTries is how often the bucket is asked that has no leader yet, or one that does
	// not have yet what another node has just made.
	sealTries = 20
	sealPause = 250 * time.Millisecond
)

// openSeal makes the key, or reads the one that there is.
func openSeal(ctx context.Context, keys bucket.Store, fresh []byte) (*Seal, error) {
	switch _, err := keys.Put(ctx, keyName, fresh, 0); {
	case err == nil:
		return &Seal{fresh}, nil
	case !errors.Is(err, bucket.ErrConflict):
		return nil, fmt.Errorf("making the key of receipts: %w", err)
	}
	d, there, err := keys.Get(ctx, keyName)
	if err != nil {
		return nil, fmt.Errorf("reading the key of receipts: %w", err)
	}
	if !there {
		return nil, fmt.Errorf("%w: the key of receipts was made, and is not there", bucket.ErrUnavailable)
	}
	return &Seal{d.Value}, nil
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
