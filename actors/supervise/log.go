package supervise

import (
	"context"
	"errors"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// log is the system's logger with the actor's id.
func (n *node) log() *zap.Logger { return n.sys.logger.With(zap.String("actor", n.id)) }

// swallow records a failure that has no consequence.
func (n *node) swallow(p *PanicError) {
	n.fail(p)
	n.log().Error("panic while ending", errorFields(p)...)
}

// errorFields are the error and, of a panic, what was being handled and the stack.
func errorFields(err error) []zap.Field {
	fields := []zap.Field{zap.Error(err)}
	var p *PanicError
	if errors.As(err, &p) {
		fields = append(fields, zap.String("message", p.Message), zap.String("stack", p.Stack))
	}
	return fields
}

// supervised logs what a supervisor decided.
func supervised(logger *zap.Logger, e *actor.SupervisorEvent) {
	err, _ := e.Reason.(error)
	fields := append(errorFields(err), zap.String("actor", e.Child.GetId()))
	switch e.Directive {
	case actor.RestartDirective:
		logger.Warn("actor failed, will restart", fields...)
	case actor.StopDirective:
		logger.Warn("actor failed, is not restarted", fields...)
	case actor.EscalateDirective:
		logger.Error("actor failed too often, its supervisor gives up", fields...)
	default:
		logger.Warn("actor failed", fields...)
	}
}

// slogBridge sends the library's log to zap, one level lower up to Info: what it
// reports there, this package reports with more detail.
type slogBridge struct {
	logger *zap.Logger
	prefix string
}

func bridgeLevel(l slog.Level) zapcore.Level {
	switch {
	case l >= slog.LevelError:
		return zapcore.ErrorLevel
	case l >= slog.LevelWarn:
		return zapcore.WarnLevel
	}
	return zapcore.DebugLevel
}

func (b slogBridge) Enabled(_ context.Context, l slog.Level) bool {
	return b.logger.Core().Enabled(bridgeLevel(l))
}

func (b slogBridge) Handle(_ context.Context, r slog.Record) error {
	fields := make([]zap.Field, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		fields = append(fields, b.field(a))
		return true
	})
	b.logger.Log(bridgeLevel(r.Level), r.Message, fields...)
	return nil
}

func (b slogBridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := make([]zap.Field, len(attrs))
	for i, a := range attrs {
		fields[i] = b.field(a)
	}
	return slogBridge{logger: b.logger.With(fields...), prefix: b.prefix}
}

func (b slogBridge) WithGroup(name string) slog.Handler {
	return slogBridge{logger: b.logger, prefix: b.prefix + name + "."}
}

func (b slogBridge) field(a slog.Attr) zap.Field {
	v := a.Value.Resolve()
	if pid, ok := v.Any().(*actor.PID); ok {
		return zap.String(b.prefix+a.Key, pid.GetId())
	}
	return zap.Any(b.prefix+a.Key, v.Any())
}
