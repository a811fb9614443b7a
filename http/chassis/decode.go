package chassis

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Rule relaxes Decode.
type Rule int

// The rules.
const (
	// Empty accepts an empty body, which changes nothing.
	Empty Rule = iota + 1
	// Unknown ignores members that the type does not have, for documented
	// endpoints whose older clients send more than is read.
	Unknown
)

// Decode reads the JSON body of r into the struct, map, slice or scalar that
// into points to. It is strict: CheckJSON's rules hold, member names match a
// json tag exactly, unknown members, wrong types and out-of-range numbers are
// refused. Malformed text is a 400 that names the byte; everything else is a
// 422 that names every refused field by its JSON pointer.
//
// Struct tags beside json: required:"true", minimum, maximum (numbers),
// minLength, maxLength (characters of strings, elements of lists), enum (comma
// list). null is like absence for what is not a pointer, map, slice or any.
// time.Time accepts what ParseTime accepts, as string or number. any becomes
// map[string]any, []any, string, bool and json.Number.
func Decode(r *http.Request, into any, rules ...Rule) error {
	data, err := ReadBody(r)
	if err != nil {
		return err
	}
	return DecodeJSON(data, into, rules...)
}

// DecodeOptional is Decode of a body that may be absent, or of another kind than JSON:
// then into stays as it is.
func DecodeOptional(r *http.Request, into any, rules ...Rule) error {
	if r.ContentLength == 0 || !strings.HasPrefix(r.Header.Get("Content-Type"), mediaJSON) {
		return nil
	}
	return Decode(r, into, rules...)
}

// DecodeJSON is Decode of bytes.
func DecodeJSON(data []byte, into any, rules ...Rule) error {
	d := decoder{scanner: scanner{data: data}}
	optional := false
	for _, rule := range rules {
		optional = optional || rule == Empty
		d.lenient = d.lenient || rule == Unknown
	}
	d.space()
	if d.pos == len(data) {
		if optional {
			return nil
		}
		return BadRequest("the body is empty; JSON is expected").WithCode("empty_body")
	}
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("decoding into %T: not a pointer", into)
	}
	if err := d.value(v.Elem(), nil); err != nil {
		return err
	}
	if err := d.end(); err != nil {
		return err
	}
	if len(d.refused) > 0 {
		return Unprocessable(d.refused...)
	}
	return nil
}

// maxRefused is how many refused fields one answer lists.
const maxRefused = 16

type decoder struct {
	scanner
	lenient bool
	path    []string
	refused []FieldError
}

// refuse notes that the value at the current path is not acceptable.
func (d *decoder) refuse(format string, args ...any) {
	if len(d.refused) < maxRefused {
		d.refused = append(d.refused, Field(pointer(d.path), format, args...))
	}
}

// pointer renders an RFC 6901 JSON pointer.
func pointer(path []string) string {
	var b strings.Builder
	for _, seg := range path {
		b.WriteByte('/')
		b.WriteString(pointerEscape.Replace(clip(seg, 100)))
	}
	return b.String()
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

var (
	typeTime   = reflect.TypeFor[time.Time]()
	typeNumber = reflect.TypeFor[json.Number]()
	typeRaw    = reflect.TypeFor[json.RawMessage]()
)

// value decodes the next value into v. The error it returns is of the text,
// not of the value; those are noted by refuse.
func (d *decoder) value(v reflect.Value, limits *limits) error {
	if d.peek() == 'n' {
		if _, err := d.literal(); err != nil {
			return err
		}
		d.null(v)
		return nil
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return d.value(v.Elem(), limits)
	}
	switch v.Type() {
	case typeTime:
		return d.time(v)
	case typeNumber:
		return d.jsonNumber(v)
	}
	if v.CanAddr() {
		switch own := v.Addr().Interface().(type) {
		case json.Unmarshaler:
			return d.own(own.UnmarshalJSON)
		case encoding.TextUnmarshaler:
			if d.peek() == '"' {
				return d.ownText(own)
			}
			return d.mismatch("a string")
		}
	}
	before := len(d.refused)
	err := d.kind(v)
	if err == nil && limits != nil && len(d.refused) == before {
		limits.check(d, v)
	}
	return err
}

func (d *decoder) null(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Interface:
		v.SetZero()
	case reflect.Slice:
		if v.Type() == typeRaw {
			v.SetBytes([]byte("null"))
			return
		}
		v.SetZero()
	}
}

func (d *decoder) kind(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Struct:
		return d.structure(v)
	case reflect.Map:
		return d.mapping(v)
	case reflect.Slice:
		return d.list(v)
	case reflect.Array:
		return d.array(v)
	case reflect.Interface:
		if v.NumMethod() > 0 {
			return fmt.Errorf("decoding into %s: not a concrete type", v.Type())
		}
		got, err := d.any()
		if err == nil && got != nil {
			v.Set(reflect.ValueOf(got))
		}
		return err
	case reflect.String:
		if d.peek() != '"' {
			return d.mismatch("a string")
		}
		s, err := d.string()
		v.SetString(s)
		return err
	case reflect.Bool:
		if c := d.peek(); c != 't' && c != 'f' {
			return d.mismatch("true or false")
		}
		c, err := d.literal()
		v.SetBool(c == 't')
		return err
	default:
		return d.numeric(v)
	}
}

// mismatch notes a wrong type and moves past the value; text that is no value
// at all (NaN, Infinity) is malformed.
func (d *decoder) mismatch(want string) error {
	d.refuse("must be %s, is %s", want, d.describe())
	return d.skip()
}

func (d *decoder) describe() string {
	switch c := d.peek(); {
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"':
		return "a string"
	case c == 't', c == 'f':
		return "a boolean"
	default:
		return "a number"
	}
}

// own hands the value's text to a type that reads JSON itself.
func (d *decoder) own(unmarshal func([]byte) error) error {
	start := d.pos
	if err := d.skip(); err != nil {
		return err
	}
	if err := unmarshal(d.data[start:d.pos]); err != nil {
		d.refuseOwn(err)
	}
	return nil
}

func (d *decoder) ownText(own encoding.TextUnmarshaler) error {
	s, err := d.string()
	if err != nil {
		return err
	}
	if err := own.UnmarshalText([]byte(s)); err != nil {
		d.refuseOwn(err)
	}
	return nil
}

// refuseOwn notes what a type says about its text. The text came from the
// client, so the client may read the complaint.
func (d *decoder) refuseOwn(err error) {
	d.refuse("is not valid: %s", clip(err.Error(), 200))
}

func (d *decoder) time(v reflect.Value) error {
	var text string
	var err error
	switch c := d.peek(); {
	case c == '"':
		text, err = d.string()
	case c == '-' || c >= '0' && c <= '9':
		var raw []byte
		raw, err = d.number()
		text = string(raw)
	default:
		return d.mismatch("a time (RFC 3339 text or a Unix epoch)")
	}
	if err != nil {
		return err
	}
	t, err := ParseTime(text)
	if err != nil {
		d.refuse("%s", err.Error())
		return nil
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

func (d *decoder) jsonNumber(v reflect.Value) error {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return d.mismatch("a number")
	}
	raw, err := d.number()
	v.SetString(string(raw))
	return err
}

func (d *decoder) numeric(v reflect.Value) error {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return d.mismatch("a number")
	}
	raw, err := d.number()
	if err != nil {
		return err
	}
	text := string(raw)
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n, err := wholeNumber(text); err == nil && !v.OverflowInt(n) {
			v.SetInt(n)
		} else {
			d.refuse("must be a whole number of at most %d bits", v.Type().Bits())
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n, err := strconv.ParseUint(text, 10, v.Type().Bits()); err == nil {
			v.SetUint(n)
		} else {
			d.refuse("must be a whole number, not negative, of at most %d bits", v.Type().Bits())
		}
	case reflect.Float32, reflect.Float64:
		if f, err := strconv.ParseFloat(text, v.Type().Bits()); err == nil {
			v.SetFloat(f)
		} else {
			d.refuse("is out of range")
		}
	default:
		return fmt.Errorf("decoding into %s: not supported", v.Type())
	}
	return nil
}

// wholeNumber also takes 24.0 and 2.4e1, which clients with one number type send.
func wholeNumber(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return n, err
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, err
	}
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, strconv.ErrSyntax
	}
	return int64(f), nil
}

func (d *decoder) string() (string, error) {
	raw, escaped, err := d.text()
	if err != nil {
		return "", err
	}
	if escaped {
		raw = unescape(raw)
	}
	return string(raw), nil
}

func (d *decoder) structure(v reflect.Value) error {
	if d.peek() != '{' {
		return d.mismatch("an object")
	}
	plan := planOf(v.Type())
	present := make([]bool, len(plan.fields))
	empty, err := d.open('}')
	if err != nil {
		return err
	}
	var seen names
	for more := !empty; more; {
		name, err := d.name(&seen)
		if err != nil {
			return err
		}
		if err := d.member(v, plan, name, present); err != nil {
			return err
		}
		if more, err = d.next('}'); err != nil {
			return err
		}
	}
	for i := range plan.fields {
		if f := &plan.fields[i]; f.required && !present[i] {
			d.path = append(d.path, f.name)
			d.refuse("is required")
			d.path = d.path[:len(d.path)-1]
		}
	}
	return nil
}

func (d *decoder) member(v reflect.Value, plan *plan, name []byte, present []bool) error {
	d.path = append(d.path, string(name))
	defer func() { d.path = d.path[:len(d.path)-1] }()
	i, ok := plan.byName[string(name)]
	if !ok {
		if !d.lenient {
			d.refuse("is not a known member; known are %s", plan.known())
		}
		return d.skip()
	}
	f := &plan.fields[i]
	present[i] = d.peek() != 'n'
	return d.value(v.FieldByIndex(f.index), &f.limits)
}

func (d *decoder) mapping(v reflect.Value) error {
	if v.Type().Key().Kind() != reflect.String {
		return fmt.Errorf("decoding into %s: the key is not a string", v.Type())
	}
	if d.peek() != '{' {
		return d.mismatch("an object")
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	empty, err := d.open('}')
	if err != nil {
		return err
	}
	var seen names
	for more := !empty; more; {
		name, err := d.name(&seen)
		if err != nil {
			return err
		}
		element := reflect.New(v.Type().Elem()).Elem()
		d.path = append(d.path, string(name))
		err = d.value(element, nil)
		d.path = d.path[:len(d.path)-1]
		if err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(string(name)).Convert(v.Type().Key()), element)
		if more, err = d.next('}'); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) list(v reflect.Value) error {
	if d.peek() != '[' {
		return d.mismatch("an array")
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	return d.elements(func(i int) (reflect.Value, bool) {
		if i == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(i + 1)
		v.Index(i).SetZero()
		return v.Index(i), true
	}, func(int) {})
}

func (d *decoder) array(v reflect.Value) error {
	if d.peek() != '[' {
		return d.mismatch("an array")
	}
	return d.elements(func(i int) (reflect.Value, bool) {
		if i >= v.Len() {
			return reflect.Value{}, false
		}
		return v.Index(i), true
	}, func(n int) {
		if n != v.Len() {
			d.refuse("must have %d elements, has %d", v.Len(), n)
		}
	})
}

// elements decodes an array, asking where to put each element.
func (d *decoder) elements(at func(i int) (reflect.Value, bool), done func(n int)) error {
	empty, err := d.open(']')
	if err != nil {
		return err
	}
	n := 0
	for more := !empty; more; n++ {
		if element, ok := at(n); ok {
			d.path = append(d.path, strconv.Itoa(n))
			err = d.value(element, nil)
			d.path = d.path[:len(d.path)-1]
		} else {
			err = d.skip()
		}
		if err != nil {
			return err
		}
		if more, err = d.next(']'); err != nil {
			return err
		}
	}
	done(n)
	return nil
}

// any decodes a value of whatever type it has.
func (d *decoder) any() (any, error) {
	switch c := d.peek(); {
	case c == '{':
		m := map[string]any{}
		err := d.mapping(reflect.ValueOf(&m).Elem())
		return m, err
	case c == '[':
		var l []any
		err := d.list(reflect.ValueOf(&l).Elem())
		return l, err
	case c == '"':
		return d.string()
	case c == '-' || c >= '0' && c <= '9':
		raw, err := d.number()
		return json.Number(raw), err
	default:
		word, err := d.literal()
		switch {
		case err != nil || word == 'n':
			return nil, err
		default:
			return word == 't', nil
		}
	}
}
