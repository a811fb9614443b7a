package logs

import (
	"bytes"

	"go.uber.org/zap/zapcore"
)

// maxFields bounds what is kept of one line's fields, and maxMessage of its message.
const (
	maxFields  = 16 << 10
	maxMessage = 4 << 10
)

// Core is a zap core that fills a ring with what is enabled. node is this one's name;
// service says which service an actor belongs to, "" for none.
func (r *Ring) Core(enabled zapcore.LevelEnabler, node string, service func(actor string) string) zapcore.Core {
	return &core{
		LevelEnabler: enabled, ring: r, service: service, labels: Entry{Node: node},
		encoder: zapcore.NewJSONEncoder(zapcore.EncoderConfig{
			SkipLineEnding: true, EncodeDuration: zapcore.SecondsDurationEncoder, EncodeTime: zapcore.RFC3339NanoTimeEncoder,
		}),
	}
}

type core struct {
	zapcore.LevelEnabler
	ring    *Ring
	service func(actor string) string
	labels  Entry // what With said
	encoder zapcore.Encoder
}

// With implements zapcore.Core.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	next := *c
	next.encoder = c.encoder.Clone()
	for _, f := range next.labels.take(fields) {
		f.AddTo(next.encoder)
	}
	return &next
}

// take sets the labels that are among the fields and returns the others.
func (e *Entry) take(fields []zapcore.Field) []zapcore.Field {
	first := len(fields)
	for i := range fields {
		if fields[i].Type == zapcore.StringType && e.label(fields[i].Key) != nil {
			first = i
			break
		}
	}
	if first == len(fields) {
		return fields
	}
	rest := make([]zapcore.Field, first, len(fields))
	copy(rest, fields)
	for _, f := range fields[first:] {
		if f.Type == zapcore.StringType {
			if place := e.label(f.Key); place != nil {
				*place = f.String
				continue
			}
		}
		rest = append(rest, f)
	}
	return rest
}

// Check implements zapcore.Core.
func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core. It never fails: a line whose fields cannot be encoded
// is kept without them.
func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	e := c.labels
	rest := e.take(fields)
	e.Time, e.Level, e.level, e.Logger = entry.Time.UTC(), entry.Level.String(), entry.Level, entry.LoggerName
	e.Message = clip(entry.Message, maxMessage)
	if e.Service == "" && e.Actor != "" {
		e.Service = c.service(e.Actor)
	}
	e.Fields = none
	if text, err := c.encoder.EncodeEntry(zapcore.Entry{}, rest); err == nil {
		if text.Len() <= maxFields {
			e.Fields = bytes.Clone(text.Bytes())
		} else {
			e.Fields = tooLong
		}
		text.Free()
	}
	c.ring.Add(&e)
	return nil
}

// Sync implements zapcore.Core.
func (c *core) Sync() error { return nil }

var (
	none    = []byte("{}")
	tooLong = []byte(`{"note":"the fields are too long to be kept; the log itself has them"}`)
)

// clip cuts a text, and leaves whole characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}
