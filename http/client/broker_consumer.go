package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Consumers lists the consumers of a stream.
func (b *Broker) Consumers(ctx context.Context, stream string) ([]Consumer, error) {
	var answer struct {
		Consumers []Consumer `json:"consumers"`
	}
	err := b.c.call(ctx, get(BrokerService, join(brokerPath+"/streams", stream, "consumers"), nil), &answer)
	return answer.Consumers, err
}

// CreateConsumer makes a consumer of a stream, or changes the one of that name.
func (b *Broker) CreateConsumer(ctx context.Context, stream string, c NewConsumer) (Consumer, error) {
	var answer struct {
		Consumer Consumer `json:"consumer"`
	}
	r, err := order(BrokerService, http.MethodPost, join(brokerPath+"/streams", stream, "consumers"), c)
	if err != nil {
		return answer.Consumer, err
	}
	r.harmless = true
	err = b.c.call(ctx, r, &answer)
	return answer.Consumer, err
}

// Consumer is one consumer of a stream.
func (b *Broker) Consumer(ctx context.Context, stream, name string) (c Consumer, err error) {
	return c, b.c.call(ctx, get(BrokerService, join(brokerPath+"/streams", stream, "consumers", name), nil), &c)
}

// DeleteConsumer removes a consumer.
func (b *Broker) DeleteConsumer(ctx context.Context, stream, name string) error {
	return b.remove(ctx, join(brokerPath+"/streams", stream, "consumers", name))
}

// Fetch takes up to limit messages, and waits for the first one for so long. What is not
// answered within the consumer's time comes again.
func (b *Broker) Fetch(ctx context.Context, stream, consumer string, limit int, wait time.Duration) ([]Fetched, error) {
	var answer struct {
		Messages []Fetched `json:"messages"`
	}
	path := join(brokerPath+"/streams", stream, "consumers", consumer, "fetch")
	r, err := order(BrokerService, http.MethodPost, path, fetchForm{Max: int64(limit), WaitSeconds: wait.Seconds()})
	if err != nil {
		return nil, err
	}
	err = b.c.call(ctx, r, &answer)
	return answer.Messages, err
}

// fetchWait is how long Consume waits for a message before it asks again.
const fetchWait = 20 * time.Second

// Consume takes messages one after the other, for as long as ctx lasts: each is answered
// by whoever ranges over them, with its Token. Up to ahead of them are taken at once.
func (b *Broker) Consume(ctx context.Context, stream, consumer string, ahead int) iter.Seq2[Fetched, error] {
	return func(yield func(Fetched, error) bool) {
		for {
			messages, err := b.Fetch(ctx, stream, consumer, max(1, ahead), fetchWait)
			if err != nil {
				yield(Fetched{}, err)
				return
			}
			for _, m := range messages {
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}

// Ack acknowledges messages by their tokens.
func (b *Broker) Ack(ctx context.Context, tokens ...string) (Settled, error) {
	return b.settle(ctx, "ack", settleForm{Tokens: tokens})
}

// Nak gives messages back, to come again after a while.
func (b *Broker) Nak(ctx context.Context, after time.Duration, tokens ...string) (Settled, error) {
	return b.settle(ctx, "nak", settleForm{Tokens: tokens, DelaySeconds: after.Seconds()})
}

// Term gives messages up: they are dead letters, with the reason.
func (b *Broker) Term(ctx context.Context, reason string, tokens ...string) (Settled, error) {
	return b.settle(ctx, "term", settleForm{Tokens: tokens, Reason: reason})
}

// InProgress says that messages are being worked on, which begins their time anew.
func (b *Broker) InProgress(ctx context.Context, tokens ...string) (Settled, error) {
	return b.settle(ctx, "progress", settleForm{Tokens: tokens})
}

func (b *Broker) settle(ctx context.Context, word string, form settleForm) (done Settled, err error) {
	r, err := order(BrokerService, http.MethodPost, brokerPath+"/consumers/"+word, form)
	if err != nil {
		return done, err
	}
	r.harmless = true // a token that was answered is one of the failed
	return done, b.c.call(ctx, r, &done)
}
