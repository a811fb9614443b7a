package chassis

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// plan is what the tags of a struct type say, read once.
type plan struct {
	fields []field
	byName map[string]int
}

type field struct {
	name      string
	index     []int
	typ       reflect.Type
	required  bool
	omitempty bool
	doc       string
	example   string
	def       string
	limits    limits
}

// limits are the constraint tags of a field.
type limits struct {
	enum                 []string
	minimum, maximum     *float64
	minLength, maxLength *int
}

// plans caches what is a pure function of the type.
var plans sync.Map // reflect.Type -> *plan

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{byName: map[string]int{}}
	p.collect(t, nil)
	for i, f := range p.fields {
		p.byName[f.name] = i
	}
	plans.Store(t, p)
	return p
}

// collect adds the fields of t; embedded structs without a json name are
// flattened, as encoding/json does.
func (p *plan) collect(t reflect.Type, index []int) {
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(slices.Clone(index), i)
		tag := sf.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" {
			continue
		}
		if sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Struct {
			p.collect(sf.Type, at)
			continue
		}
		if !sf.IsExported() {
			continue
		}
		if name == "" {
			name = sf.Name
		}
		options = "," + options + ","
		p.fields = append(p.fields, field{
			name: name, index: at, typ: sf.Type,
			required:  sf.Tag.Get("required") == "true",
			omitempty: strings.Contains(options, ",omitempty,") || strings.Contains(options, ",omitzero,"),
			doc:       sf.Tag.Get("doc"),
			example:   sf.Tag.Get("example"),
			def:       sf.Tag.Get("default"),
			limits:    limitsOf(sf.Tag),
		})
	}
}

func limitsOf(tag reflect.StructTag) limits {
	var l limits
	if enum := tag.Get("enum"); enum != "" {
		l.enum = strings.Split(enum, ",")
	}
	number := func(key string) *float64 {
		if f, err := strconv.ParseFloat(tag.Get(key), 64); err == nil {
			return &f
		}
		return nil
	}
	count := func(key string) *int {
		if n, err := strconv.Atoi(tag.Get(key)); err == nil {
			return &n
		}
		return nil
	}
	l.minimum, l.maximum = number("minimum"), number("maximum")
	l.minLength, l.maxLength = count("minLength"), count("maxLength")
	return l
}

// check refuses a decoded value that breaks a limit.
func (l *limits) check(d *decoder, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		l.checkLength(d, utf8.RuneCountInString(v.String()), "characters")
		if l.enum != nil && !slices.Contains(l.enum, v.String()) {
			d.refuse("must be one of %s", strings.Join(l.enum, ", "))
		}
	case reflect.Slice, reflect.Map:
		l.checkLength(d, v.Len(), "elements")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		l.checkNumber(d, float64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		l.checkNumber(d, float64(v.Uint()))
	case reflect.Float32, reflect.Float64:
		l.checkNumber(d, v.Float())
	}
}

func (l *limits) checkLength(d *decoder, n int, of string) {
	if l.minLength != nil && n < *l.minLength {
		d.refuse("must have at least %d %s, has %d", *l.minLength, of, n)
	}
	if l.maxLength != nil && n > *l.maxLength {
		d.refuse("must have at most %d %s, has %d", *l.maxLength, of, n)
	}
}

func (l *limits) checkNumber(d *decoder, f float64) {
	if l.minimum != nil && f < *l.minimum {
		d.refuse("must be at least %v", *l.minimum)
	}
	if l.maximum != nil && f > *l.maximum {
		d.refuse("must be at most %v", *l.maximum)
	}
}

// known lists the member names of a type.
func (p *plan) known() string {
	list := make([]string, len(p.fields))
	for i, f := range p.fields {
		list[i] = f.name
	}
	return strings.Join(list, ", ")
}
