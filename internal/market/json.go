package market

import (
	"encoding/binary"
	"strconv"
	"unicode/utf8"
)

// JSON writes records in the one JSON form. The zero value writes decimals as
// strings. It is a [Visitor]; it is reused, and not safe for concurrent use.
type JSON struct {
	// Numbers writes decimals as JSON numbers.
	Numbers bool
	// Only is what is written of a record, all of it when nil. Records of one kind
	// are written then: that of the selection. It is set before the first record.
	Only *Selection

	selecting
	buf []byte
	// Neighbours mostly share their instrument and the second of their times, so
	// that the text of the last ones is kept.
	instrument *Instrument
	names      []byte
	seconds    [2]secondText // of the exchange's clock, and of ours
}

// secondText is a second as text.
type secondText struct {
	second int64 // Unix s; 0 is none
	digits [secondDigits]byte
}

// secondDigits is the length of a Unix time in seconds, from 2001 to 2286.
const secondDigits = 10

// Append appends r as one object, without a line end.
func (j *JSON) Append(dst []byte, r Record) []byte {
	if j.Only != nil {
		return j.appendOnly(dst, r)
	}
	j.buf = appendKind(append(dst, '{'), r)
	Visit(r, j)
	out := append(j.buf, '}')
	j.buf = nil
	return out
}

func appendKind(dst []byte, r Record) []byte {
	dst = append(dst, `"kind":"`...)
	return append(append(dst, r.Kind().String()...), '"')
}

// appendOnly appends the selected fields of r.
func (j *JSON) appendOnly(dst []byte, r Record) []byte {
	j.selecting = selecting{only: j.Only}
	j.buf = append(dst, '{')
	first := len(j.buf)
	if j.Only.names.kind {
		j.buf = appendKind(j.buf, r)
	}
	Visit(r, j)
	out := j.buf
	j.buf = nil
	if first < len(out) && out[first] == ',' { // each field begins with one
		out = append(out[:first], out[first+1:]...)
	}
	return append(out, '}')
}

func (j *JSON) key(f *Field) {
	if f.key != "" {
		j.buf = append(j.buf, f.key...)
		return
	}
	j.buf = append(j.buf, jsonKey(f.Name)...)
}

// jsonKey is a member's name with what stands around it.
func jsonKey(name string) string { return `,"` + name + `":` }

func (j *JSON) text(f *Field, s string) {
	j.key(f)
	j.buf = AppendJSONString(j.buf, s)
}

func (j *JSON) number(f *Field, n int64) {
	j.key(f)
	j.buf = appendInt(j.buf, n)
}

// Instrument implements [Visitor].
func (j *JSON) Instrument(v **Instrument) {
	i := *v
	if j.skip() || i == nil {
		return
	}
	if i != j.instrument {
		j.instrument = i
		j.names = j.names[:0]
		for _, n := range [...]struct {
			key, text string
			taken     bool
		}{
			{`,"exchange":`, i.Exchange, j.Only == nil || j.Only.names.exchange},
			{`,"market":`, i.Market.String(), j.Only == nil || j.Only.names.market},
			{`,"symbol":`, i.Symbol, j.Only == nil || j.Only.names.symbol},
			{`,"native_symbol":`, i.Native, j.Only == nil || j.Only.names.native},
		} {
			if n.taken {
				j.names = AppendJSONString(append(j.names, n.key...), n.text)
			}
		}
	}
	j.buf = append(j.buf, j.names...)
}

// Time implements [Visitor].
func (j *JSON) Time(f *Field, v *int64) {
	if j.skip() || *v == 0 || f.Name == "" {
		return
	}
	second, ns := *v/1e9, *v%1e9
	if second < 1e9 || second >= 1e10 {
		j.number(f, *v)
		return
	}
	kept := &j.seconds[0]
	if f == FieldReceiveTime {
		kept = &j.seconds[1]
	}
	if second != kept.second {
		kept.second = second
		appendInt(kept.digits[:0], second)
	}
	j.key(f)
	j.buf = append(j.buf, kept.digits[:]...)
	j.buf = append(binary.LittleEndian.AppendUint64(j.buf, eightDigits(uint32(ns)/10)), byte('0'+ns%10))
}

// Count implements [Visitor].
func (j *JSON) Count(f *Field, v *int64) {
	if !j.skip() && *v != 0 {
		j.number(f, *v)
	}
}

// Int implements [Visitor].
func (j *JSON) Int(f *Field, v *OptInt) {
	if !j.skip() && v.OK {
		j.number(f, v.V)
	}
}

// Decimal implements [Visitor].
func (j *JSON) Decimal(f *Field, v *Decimal) {
	if j.skip() || !v.IsSet() {
		return
	}
	j.key(f)
	j.decimal(v)
}

func (j *JSON) decimal(v *Decimal) {
	if j.Numbers {
		j.buf = v.AppendText(j.buf)
		return
	}
	j.buf = append(v.AppendText(append(j.buf, '"')), '"')
}

// ID implements [Visitor].
func (j *JSON) ID(f *Field, v *ID) {
	if j.skip() || !v.set {
		return
	}
	if v.text != "" {
		j.text(f, v.text)
		return
	}
	j.key(f)
	j.buf = append(v.AppendText(append(j.buf, '"')), '"')
}

// Word implements [Visitor].
func (j *JSON) Word(f *Field, v *string) {
	if !j.skip() && *v != "" {
		j.text(f, *v)
	}
}

// Enum implements [Visitor].
func (j *JSON) Enum(f *Field, v Enum) {
	if j.skip() || f == FieldOrigin && v.Code() == uint8(Collected) {
		return
	}
	j.key(f)
	j.buf = append(append(append(j.buf, '"'), v.String()...), '"') // words need no escapes
}

// Bool implements [Visitor].
func (j *JSON) Bool(f *Field, v *bool) {
	if j.skip() {
		return
	}
	j.key(f)
	j.buf = strconv.AppendBool(j.buf, *v)
}

// Levels implements [Visitor].
func (j *JSON) Levels(f *Field, v *[]Level) {
	if j.skip() {
		return
	}
	j.key(f)
	j.buf = append(j.buf, '[')
	for i := range *v {
		l := &(*v)[i]
		if i > 0 {
			j.buf = append(j.buf, ',')
		}
		j.buf = append(j.buf, '[')
		j.decimal(&l.Price)
		j.buf = append(j.buf, ',')
		j.decimal(&l.Amount)
		j.buf = append(j.buf, ']')
	}
	j.buf = append(j.buf, ']')
}

// Flags implements [Visitor].
func (j *JSON) Flags(v *Flags) {
	if j.skip() || *v == 0 {
		return
	}
	j.key(FieldFlags)
	sep := byte('[')
	v.Each(func(w string) {
		j.buf = append(j.buf, sep, '"')
		j.buf = append(j.buf, w...)
		j.buf = append(j.buf, '"')
		sep = ','
	})
	j.buf = append(j.buf, ']')
}

// AppendJSONString appends s quoted and escaped; bytes that are not UTF-8 become
// U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = appendEscaped(append(dst, s[start:i]...), c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(append(dst, s[start:i]...), `\ufffd`...)
			i++
			start = i
			continue
		}
		i += size
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
