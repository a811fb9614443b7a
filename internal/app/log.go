package app

import (
	"fmt"
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/marketprism/marketprism/config"
)

// NewLogger writes JSON, or the console form on a terminal, as configured. The
// level can be changed while it runs.
func NewLogger(cfg config.Log, w io.Writer, version, node string) (*zap.Logger, zap.AtomicLevel, error) {
	level, err := zap.ParseAtomicLevel(cfg.Level)
	if err != nil {
		return nil, level, fmt.Errorf("log.level: %w", err)
	}
	enc := zap.NewProductionEncoderConfig()
	enc.TimeKey, enc.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	enc.MessageKey, enc.NameKey = "msg", "logger"
	encoder := zapcore.NewJSONEncoder(enc)
	console := consoleWanted(cfg.Format, w)
	if console {
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		enc.EncodeLevel = zapcore.CapitalColorLevelEncoder
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level)
	log := zap.New(core, zap.AddStacktrace(zapcore.DPanicLevel))
	if !console {
		log = log.With(zap.String("version", version), zap.String("node", node))
	}
	return log, level, nil
}

func consoleWanted(format string, w io.Writer) bool {
	switch format {
	case "console":
		return true
	case "json":
		return false
	}
	f, ok := w.(interface{ Fd() uintptr }) // a file, or what draws on one
	return ok && term.IsTerminal(int(f.Fd()))
}
