package market

import (
	"errors"
	"fmt"
	"strconv"
)

// Bounds of what [JSONReader] takes.
const (
	// MaxJSONRecord is the longest record, in bytes.
	MaxJSONRecord = 16 << 20
	// maxMembers is more than any kind has.
	maxMembers = 64
	// maxInterned bounds the instruments and words that a reader remembers; beyond
	// it, it forgets all of them.
	maxInterned = 1 << 16
)

// ErrJSONRecord is matched by every error of [JSONReader.Read].
var ErrJSONRecord = errors.New("not a record in the one JSON form")

// JSONReader reads records in the one JSON form, the way back from [JSON]: what
// JSON has written is read and written again as the same bytes. It is strict. An
// unknown kind, member, word or flag, a repeated member and a wrong type are
// errors, because a record that is read in part is another record. Decimals may
// be strings or numbers.
//
// The zero value is ready. It is a [Visitor]; it is reused, and not safe for
// concurrent use.
type JSONReader struct {
	scan    jsonScanner
	members []jsonMember
	at      int // the member that is expected next
	used    int
	into    *Batch
	err     error

	instruments map[Instrument]*Instrument
	words       map[string]string
}

type jsonMember struct{ name, value []byte }

// Read appends the record that line holds to the batch and returns it. Instruments
// have names and nothing else; records of one instrument share it. The record's
// time in the store is that of [Stamp]; its flags are as they were written. After
// an error (matches [ErrJSONRecord]) the batch is as before.
func (r *JSONReader) Read(line []byte, into *Batch) (Record, error) {
	if len(line) > MaxJSONRecord {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrJSONRecord, len(line), MaxJSONRecord)
	}
	r.err, r.at, r.used, r.into = nil, 0, 0, into
	defer func() { r.into, r.scan = nil, jsonScanner{} }()
	if err := r.split(line); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJSONRecord, err)
	}
	kind, err := r.kind()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJSONRecord, err)
	}
	before := into.Len()
	record := into.AddKind(kind)
	Visit(record, r)
	if r.err == nil && r.used != len(r.members) {
		r.err = fmt.Errorf("a %s has no member %q", kind, r.unused(record))
	}
	if r.err != nil {
		into.Truncate(before)
		return nil, fmt.Errorf("%w: %w", ErrJSONRecord, r.err)
	}
	h := record.Head()
	if h.TS = record.eventTime(); h.TS == 0 {
		h.TS = h.ReceiveTime
	}
	return record, nil
}

// split finds the members of the one object that a line holds.
func (r *JSONReader) split(line []byte) error {
	r.members = r.members[:0]
	s := &r.scan
	*s = jsonScanner{data: line}
	if err := s.expect('{'); err != nil {
		return err
	}
	for {
		name, err := s.name()
		if err != nil {
			return err
		}
		value, err := s.value()
		if err != nil {
			return fmt.Errorf("member %q: %w", name, err)
		}
		if len(r.members) == maxMembers {
			return fmt.Errorf("more than %d members", maxMembers)
		}
		for _, m := range r.members {
			if string(m.name) == string(name) {
				return fmt.Errorf("member %q twice", name)
			}
		}
		r.members = append(r.members, jsonMember{name, value})
		more, err := s.more('}')
		if err != nil {
			return err
		}
		if !more {
			return s.end()
		}
	}
}

func (r *JSONReader) kind() (Kind, error) {
	value, ok := r.get("kind")
	if !ok {
		return 0, errors.New("no kind")
	}
	word, err := plain(value)
	if err != nil {
		return 0, fmt.Errorf("kind: %w", err)
	}
	for k := KindTrade; k < kindEnd; k++ {
		if string(word) == kindRows[k].name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("no kind %q", clipped(word))
}

// get takes a member by name. Members mostly come in the order of the fields.
func (r *JSONReader) get(name string) ([]byte, bool) {
	for range r.members {
		if r.at == len(r.members) {
			r.at = 0
		}
		m := &r.members[r.at]
		r.at++
		if string(m.name) == name {
			r.used++
			return m.value, true
		}
		// One that is absent costs a look at each of the others, unless what stands
		// here is a field that follows.
		if at, ok := r.find(name); ok {
			r.at = at
			continue
		}
		r.at--
		return nil, false
	}
	return nil, false
}

func (r *JSONReader) find(name string) (int, bool) {
	for i := range r.members {
		if string(r.members[i].name) == name {
			return i, true
		}
	}
	return 0, false
}

// unused names a member that no field took.
func (r *JSONReader) unused(record Record) []byte {
	fields := fieldNames{"kind": true, "exchange": true, "market": true, "symbol": true, "native_symbol": true}
	Visit(record, fields)
	for _, m := range r.members {
		if !fields[string(m.name)] {
			return clipped(m.name)
		}
	}
	return nil
}

func (r *JSONReader) field(f *Field) ([]byte, bool) {
	if f.Name == "" || r.err != nil {
		return nil, false
	}
	return r.get(f.Name)
}

func (r *JSONReader) fail(name string, err error) {
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("member %q: %w", name, err)
	}
}

// Instrument implements [Visitor].
func (r *JSONReader) Instrument(v **Instrument) {
	var key Instrument
	have := 0
	text := func(name string, into *string) {
		if value, ok := r.get(name); ok {
			have++
			s, err := r.word(value)
			r.fail(name, err)
			*into = s
		}
	}
	text("exchange", &key.Exchange)
	var name string
	text("market", &name)
	text("symbol", &key.Symbol)
	text("native_symbol", &key.Native)
	switch {
	case r.err != nil || have == 0:
		return
	case have != 4:
		r.fail("exchange", errors.New("exchange, market, symbol and native_symbol come together"))
		return
	case !key.Market.Parse(name):
		r.fail("market", fmt.Errorf("no market %q", clipped([]byte(name))))
		return
	}
	if i := r.instruments[key]; i != nil {
		*v = i
		return
	}
	if r.instruments == nil || len(r.instruments) == maxInterned {
		r.instruments = map[Instrument]*Instrument{}
	}
	own := key
	r.instruments[key], *v = &own, &own
}

// Time implements [Visitor].
func (r *JSONReader) Time(f *Field, v *int64) { r.Count(f, v) }

// Count implements [Visitor].
func (r *JSONReader) Count(f *Field, v *int64) {
	if value, ok := r.field(f); ok {
		n, err := integer(value)
		r.fail(f.Name, err)
		*v = n
	}
}

// Int implements [Visitor].
func (r *JSONReader) Int(f *Field, v *OptInt) {
	if value, ok := r.field(f); ok {
		n, err := integer(value)
		r.fail(f.Name, err)
		*v = Int(n)
	}
}

func integer(value []byte) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no integer of 64 bits", clipped(value))
	}
	return n, nil
}

// Decimal implements [Visitor].
func (r *JSONReader) Decimal(f *Field, v *Decimal) {
	if value, ok := r.field(f); ok {
		d, err := decimal(value)
		r.fail(f.Name, err)
		*v = d
	}
}

// decimal reads a number, or a string that holds one.
func decimal(value []byte) (Decimal, error) {
	digits := value
	if value[0] == '"' {
		digits = value[1 : len(value)-1] // an escape is no digit
	}
	return ParseDecimal(digits)
}

// ID implements [Visitor].
func (r *JSONReader) ID(f *Field, v *ID) {
	if value, ok := r.field(f); ok {
		text, err := unquoted(value)
		r.fail(f.Name, err)
		*v = TextID(text)
	}
}

// Word implements [Visitor].
func (r *JSONReader) Word(f *Field, v *string) {
	if value, ok := r.field(f); ok {
		word, err := r.word(value)
		r.fail(f.Name, err)
		*v = word
	}
}

// word is a string of a small set, kept once.
func (r *JSONReader) word(value []byte) (string, error) {
	if bare, err := plain(value); err == nil {
		if s, ok := r.words[string(bare)]; ok {
			return s, nil
		}
	}
	s, err := unquoted(value)
	if err != nil {
		return "", err
	}
	if r.words == nil || len(r.words) == maxInterned {
		r.words = map[string]string{}
	}
	r.words[s] = s
	return s, nil
}

// Enum implements [Visitor].
func (r *JSONReader) Enum(f *Field, v Enum) {
	if value, ok := r.field(f); ok {
		word, err := r.word(value)
		if err == nil && !v.Parse(word) {
			err = fmt.Errorf("no word %q", clipped([]byte(word)))
		}
		r.fail(f.Name, err)
	}
}

// Bool implements [Visitor].
func (r *JSONReader) Bool(f *Field, v *bool) {
	value, ok := r.field(f)
	switch {
	case !ok:
	case string(value) == "true":
		*v = true
	case string(value) == "false":
	default:
		r.fail(f.Name, fmt.Errorf("%q is neither true nor false", clipped(value)))
	}
}

// Levels implements [Visitor].
func (r *JSONReader) Levels(f *Field, v *[]Level) {
	value, ok := r.field(f)
	if !ok {
		return
	}
	mark := r.into.LevelMark()
	err := elements(value, func(pair []byte) error {
		var l Level
		at := 0
		err := elements(pair, func(number []byte) (err error) {
			switch at++; at {
			case 1:
				l.Price, err = decimal(number)
			case 2:
				l.Amount, err = decimal(number)
			}
			return err
		})
		if err == nil && at != 2 {
			err = fmt.Errorf("a level of %d numbers, want price and amount", at)
		}
		r.into.Level(l)
		return err
	})
	r.fail(f.Name, err)
	*v = r.into.LevelsFrom(mark)
}

// Flags implements [Visitor].
func (r *JSONReader) Flags(v *Flags) {
	value, ok := r.field(FieldFlags)
	if !ok {
		return
	}
	r.fail(FieldFlags.Name, elements(value, func(one []byte) error {
		word, err := plain(one)
		if err != nil {
			return err
		}
		flag, known := ParseFlag(string(word))
		if !known {
			return fmt.Errorf("no flag %q", clipped(word))
		}
		*v |= flag
		return nil
	}))
}

// fieldNames is a Visitor that collects the names of a record's fields.
type fieldNames map[string]bool

func (n fieldNames) Instrument(**Instrument)      {}
func (n fieldNames) Time(f *Field, _ *int64)      { n[f.Name] = true }
func (n fieldNames) Count(f *Field, _ *int64)     { n[f.Name] = true }
func (n fieldNames) Int(f *Field, _ *OptInt)      { n[f.Name] = true }
func (n fieldNames) Decimal(f *Field, _ *Decimal) { n[f.Name] = true }
func (n fieldNames) ID(f *Field, _ *ID)           { n[f.Name] = true }
func (n fieldNames) Word(f *Field, _ *string)     { n[f.Name] = true }
func (n fieldNames) Enum(f *Field, _ Enum)        { n[f.Name] = true }
func (n fieldNames) Bool(f *Field, _ *bool)       { n[f.Name] = true }
func (n fieldNames) Levels(f *Field, _ *[]Level)  { n[f.Name] = true }
func (n fieldNames) Flags(*Flags)                 { n[FieldFlags.Name] = true }
