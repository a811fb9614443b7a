package remoting

import (
	"strings"

	"go.uber.org/zap/zapcore"
)

// calmed lowers what the library logs to debug: that a node is gone is an error to it,
// in five lines. What matters is logged here.
func calmed(c zapcore.Core) zapcore.Core { return calm{c} }

type calm struct{ zapcore.Core }

// Check implements zapcore.Core.
func (c calm) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if strings.HasSuffix(e.LoggerName, "protoactor") && e.Level <= zapcore.ErrorLevel {
		e.Level = zapcore.DebugLevel
		if !c.Enabled(e.Level) {
			return to
		}
	}
	return c.Core.Check(e, to)
}

// With implements zapcore.Core.
func (c calm) With(fields []zapcore.Field) zapcore.Core { return calm{c.Core.With(fields)} }
