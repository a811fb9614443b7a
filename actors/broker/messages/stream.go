package messages

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
)

// CreateStream makes a stream. One that exists with the same configuration is left
// as it is; with another, that is a Conflict.
func (d *Desk) CreateStream(ctx context.Context, c broker.StreamConfig) (broker.StreamStatus, error) {
	var status broker.StreamStatus
	if err := checkStream(c); err != nil {
		return status, err
	}
	err := d.within(ctx, "making stream "+c.Name, func(ctx context.Context) error {
		s, err := d.js.CreateStream(ctx, c.JetStream(d.js))
		if err != nil {
			return err
		}
		status = broker.Describe(s.CachedInfo())
		return nil
	})
	return status, err
}

// ChangeStream gives a stream other subjects, another size, age or policy; retention
// and storage cannot change.
func (d *Desk) ChangeStream(ctx context.Context, c broker.StreamConfig) (broker.StreamStatus, error) {
	var status broker.StreamStatus
	if err := d.own("changed", c.Name); err != nil {
		return status, err
	}
	if err := checkStream(c); err != nil {
		return status, err
	}
	err := d.within(ctx, "changing stream "+c.Name, func(ctx context.Context) error {
		s, err := d.js.UpdateStream(ctx, c.JetStream(d.js))
		if err != nil {
			return err
		}
		status = broker.Describe(s.CachedInfo())
		return nil
	})
	return status, err
}

// Stream describes one stream.
func (d *Desk) Stream(ctx context.Context, name string) (broker.StreamStatus, error) {
	var status broker.StreamStatus
	if err := checkName(name); err != nil {
		return status, err
	}
	err := d.within(ctx, "looking for stream "+name, func(ctx context.Context) error {
		s, err := d.js.Stream(ctx, name)
		if err == nil {
			status = broker.Describe(s.CachedInfo())
		}
		return err
	})
	return status, err
}

// DeleteStream removes a stream with all that it holds. One of the configuration
// stays: services use it.
func (d *Desk) DeleteStream(ctx context.Context, name string) error {
	if err := d.own("removed", name); err != nil {
		return err
	}
	return d.within(ctx, "removing stream "+name, func(ctx context.Context) error {
		return d.js.DeleteStream(ctx, name)
	})
}

// PurgeStream removes the messages of a subject, which may hold wildcards, or all
// with "". It returns how many there were.
func (d *Desk) PurgeStream(ctx context.Context, name, subject string) (uint64, error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	var opts []jetstream.StreamPurgeOpt
	if subject != "" {
		if err := broker.CheckRead(subject); err != nil {
			return 0, Subject("subject", err)
		}
		opts = append(opts, jetstream.WithPurgeSubject(subject))
	}
	var removed uint64
	err := d.within(ctx, "purging stream "+name, func(ctx context.Context) error {
		s, err := d.js.Stream(ctx, name)
		if err != nil {
			return err
		}
		before := s.CachedInfo().State.Msgs
		if err := s.Purge(ctx, opts...); err != nil {
			return err
		}
		after, err := s.Info(ctx)
		if err == nil && after.State.Msgs < before {
			removed = before - after.State.Msgs
		}
		return err
	})
	return removed, err
}

// own refuses to touch a stream that is not the clients' to make and remove.
func (d *Desk) own(done, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if d.configured[name] {
		return Refuse(Conflict, "name", "stream %s is one of the configuration, and is not %s here", name, done)
	}
	return nil
}

func checkName(name string) error { return Subject("name", broker.CheckName(name)) }

// checkStream refuses a configuration that cannot be.
func checkStream(c broker.StreamConfig) error {
	if err := checkName(c.Name); err != nil {
		return err
	}
	for _, subject := range c.Subjects {
		if err := broker.CheckKept(subject); err != nil {
			return Subject("subjects", err)
		}
	}
	if err := c.Validate(); err != nil {
		return &Refusal{Why: Malformed, Text: err.Error(), Err: err}
	}
	return nil
}

// Stored returns one message of a stream by its sequence.
func (d *Desk) Stored(ctx context.Context, stream string, seq uint64) (Delivery, error) {
	var out Delivery
	if err := checkName(stream); err != nil {
		return out, err
	}
	err := d.within(ctx, fmt.Sprintf("reading message %d of %s", seq, stream), func(ctx context.Context) error {
		s, err := d.js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		m, err := s.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return Refuse(Unknown, "seq", "stream %s has no message %d", stream, seq)
		}
		if err != nil {
			return err
		}
		info := s.CachedInfo()
		out = Delivery{
			Message:  Message{Subject: m.Subject, Header: m.Header, Data: m.Data},
			Position: Position{stream, info.Created.Unix(), m.Sequence}, Time: m.Time,
		}
		return nil
	})
	return out, err
}
