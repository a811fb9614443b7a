package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// errForm means that a value has the wrong type or cannot be read as the right
// one; errRange that it is outside its bounds. The field says what is allowed.
var (
	errForm  = errors.New("wrong type")
	errRange = errors.New("out of range")
)

// setScalar reads v into dst, a setting that field f describes.
func setScalar(f field, v value, dst reflect.Value) error {
	if !accepts(f.shape(), v.form) {
		return errForm
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, v.text) {
		return errRange
	}
	switch f.shape() {
	case shapeText:
		return dst.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(v.text))
	case shapeString:
		dst.SetString(v.text)
		return nil
	case shapeBool:
		b, err := strconv.ParseBool(v.text)
		if err != nil {
			return errForm
		}
		dst.SetBool(b)
		return nil
	case shapeFloat:
		return setFloat(f, v.text, dst)
	default:
		return setWhole(f, v.text, dst)
	}
}

// accepts is the strictness of a file: a port in quotes or an id without them
// is a mistake that is better named than guessed. Text of a variable or a flag
// has no type of its own.
func accepts(s shape, f form) bool {
	if f == formPlain {
		return true
	}
	switch s {
	case shapeString:
		return f == formString
	case shapeText:
		return f == formString || f == formInteger || f == formFloat
	case shapeBool:
		return f == formBool
	case shapeInteger:
		return f == formInteger
	case shapeFloat:
		return f == formInteger || f == formFloat
	case shapeDuration:
		return f == formString || f == formInteger // only 0 needs no unit
	case shapeBytes:
		return f == formString || f == formInteger
	default:
		return false
	}
}

func setFloat(f field, text string, dst reflect.Value) error {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return errForm
	}
	if low, err := strconv.ParseFloat(f.min, 64); err == nil && n < low {
		return errRange
	}
	if high, err := strconv.ParseFloat(f.max, 64); err == nil && n > high {
		return errRange
	}
	if dst.OverflowFloat(n) {
		return errRange
	}
	dst.SetFloat(n)
	return nil
}

// setWhole reads integers, durations and sizes.
func setWhole(f field, text string, dst reflect.Value) error {
	n, err := parseWhole(f.shape(), text)
	if err != nil {
		return err
	}
	for _, bound := range []struct {
		text string
		sign int64
	}{{f.min, 1}, {f.max, -1}} {
		if bound.text == "" {
			continue
		}
		limit, err := parseWhole(f.shape(), bound.text)
		if err != nil {
			panic(fmt.Sprintf("config: the bound %q of %s: %v", bound.text, f.name, err))
		}
		if bound.sign > 0 && n < limit || bound.sign < 0 && n > limit {
			return errRange
		}
	}
	if dst.CanUint() {
		if n < 0 || dst.OverflowUint(uint64(n)) {
			return errRange
		}
		dst.SetUint(uint64(n))
		return nil
	}
	if dst.OverflowInt(n) {
		return errRange
	}
	dst.SetInt(n)
	return nil
}

func parseWhole(s shape, text string) (int64, error) {
	switch s {
	case shapeDuration:
		d, err := parseDuration(text)
		return int64(d), err
	case shapeBytes:
		return parseBytes(text)
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return 0, errRange
		case err != nil:
			return 0, errForm
		}
		return n, nil
	}
}

// parseDuration reads Go's notation (1h30m, 250ms) and whole days (7d).
func parseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil {
			return 0, errForm
		}
		if n > math.MaxInt64/int64(24*time.Hour) || n < math.MinInt64/int64(24*time.Hour) {
			return 0, errRange
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errForm
	}
	return d, nil
}

// byteUnits in the order in which a size is printed: the largest that divides.
var byteUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// parseBytes reads a number of bytes (1048576) or of units (1MiB, 1 MB).
func parseBytes(text string) (int64, error) {
	unit := int64(1)
	for _, u := range byteUnits {
		if number, ok := strings.CutSuffix(text, u.name); ok {
			text, unit = strings.TrimSpace(number), u.size
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errRange
	case err != nil || n < 0:
		return 0, errForm
	case n > math.MaxInt64/unit:
		return 0, errRange
	}
	return n * unit, nil
}

func formatBytes(n int64) string {
	for _, u := range byteUnits[:4] { // binary units only: 1e6 is 1000000, not a rounded size
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// formatDuration drops the zero units that Go prints: 5m, not 5m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
