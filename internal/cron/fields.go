package cron

import (
	"math/bits"
	"strings"
)

// field is one of the six.
type field struct {
	name   string
	lo, hi int
	random int // the highest value that ~ alone stands for
	names  []string
	from   int // value of the first name
}

// The fields, in the order of an expression with seconds.
const (
	secondField = iota
	minuteField
	hourField
	dateField
	monthField
	weekdayField
	fieldCount
)

var fields = [fieldCount]field{
	{name: "second", hi: 59, random: 59},
	{name: "minute", hi: 59, random: 59},
	{name: "hour", hi: 23, random: 23},
	{name: "day of month", lo: 1, hi: 31, random: 28}, // every month has a 28th
	{name: "month", lo: 1, hi: 12, random: 12, from: 1, names: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
	{name: "day of week", hi: 7, random: 6, names: []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
}

// fields reads five or six fields.
func (p *parser) fields(s *Schedule, words []word) error {
	if len(words) < 5 || len(words) > 6 {
		at := words[len(words)-1].at
		if len(words) > 6 {
			at = words[6].at
		}
		return p.fault("", at, "there are %d fields; want five (minute hour day-of-month month day-of-week) or six with seconds in front", len(words))
	}
	s.seconds = len(words) == 6
	if !s.seconds {
		words = append([]word{{"0", 0}}, words...)
	}
	var sets [fieldCount]uint64
	for i, w := range words {
		f := &fields[i]
		for at := 0; ; {
			term, _, more := strings.Cut(w.text[at:], ",")
			set, err := p.term(s, i, word{term, w.at + at})
			if err != nil {
				return err
			}
			sets[i] |= set
			if at += len(term) + 1; !more {
				break
			}
			if at == len(w.text) {
				return p.fault(f.name, w.at+at-1, "nothing follows the comma")
			}
		}
	}
	s.second, s.minute, s.hour, s.month = sets[secondField], sets[minuteField], uint32(sets[hourField]), uint16(sets[monthField])
	hours := words[hourField].text
	s.follows = (hours[0] == '*' || hours[0] == '?') && !strings.Contains(hours, ",")
	s.days.settle(uint32(sets[dateField]), uint8(sets[weekdayField]|sets[weekdayField]>>7&1), words[dateField].text, words[weekdayField].text)
	s.everyDay = s.days.allDates && s.days.allOfWeeks && s.month == 1<<13-2
	s.first = int64(bits.TrailingZeros32(s.hour))*3600 + int64(bits.TrailingZeros64(s.minute))*60 + int64(bits.TrailingZeros64(s.second))
	return nil
}

// settle finishes the days.
func (d *days) settle(dates uint32, weekdays uint8, dateText, weekdayText string) {
	d.dates, d.weekdays = dates, weekdays&0x7f
	d.allDates, d.allOfWeeks = dates == 1<<32-2, d.weekdays == 0x7f
	star := func(text string) bool { return text[0] == '*' || text[0] == '?' }
	d.either = !star(dateText) && !star(weekdayText)
}

// term reads one item of a list. What is about the calendar of a month goes into the
// schedule's days, all else is returned as bits.
func (p *parser) term(s *Schedule, i int, w word) (uint64, error) {
	f := &fields[i]
	if w.text == "" {
		return 0, p.fault(f.name, w.at, "nothing stands before the comma")
	}
	switch i {
	case dateField:
		if done, err := p.date(s, w); done || err != nil {
			return 0, err
		}
	case weekdayField:
		if done, err := p.weekday(s, w); done || err != nil {
			return 0, err
		}
	}
	body, stepText, stepped := strings.Cut(w.text, "/")
	step := 1
	if stepped {
		at := w.at + len(body) + 1
		n, ok := number(stepText)
		if !ok || n < 1 || n > f.hi {
			return 0, p.fault(f.name, at, "the step %s is not within 1 and %d", clip(stepText), f.hi)
		}
		step = n
	}
	lo, hi, err := p.span(f, word{body, w.at}, stepped)
	if err != nil {
		return 0, err
	}
	if strings.Contains(body, "~") {
		lo, hi = p.chosen(f, lo, hi, step, stepped)
	}
	var set uint64
	for v := lo; v <= hi; v += step {
		set |= 1 << v
	}
	return set, nil
}

// chosen is what ~ stands for: one value, or where steps begin.
func (p *parser) chosen(f *field, lo, hi, step int, stepped bool) (from, to int) {
	width := hi - lo + 1
	if stepped {
		width = min(width, step)
	}
	at := lo
	if p.seed != "" {
		at += int(p.hash(f.name) % uint64(width))
	}
	if stepped {
		return at, hi
	}
	return at, at
}

// span reads *, ?, n, a-b, ~ and a~b.
func (p *parser) span(f *field, w word, stepped bool) (lo, hi int, err error) {
	switch w.text {
	case "*", "?":
		if f == &fields[weekdayField] {
			return f.lo, 6, nil
		}
		return f.lo, f.hi, nil
	case "~":
		return f.lo, f.random, nil
	}
	cut := strings.IndexAny(w.text, "-~")
	if cut < 0 {
		lo, err = p.value(f, w)
		hi = lo
		if stepped {
			if hi = f.hi; f == &fields[weekdayField] {
				hi = 6
			}
		}
		return lo, hi, err
	}
	if lo, err = p.value(f, word{w.text[:cut], w.at}); err != nil {
		return 0, 0, err
	}
	if hi, err = p.value(f, word{w.text[cut+1:], w.at + cut + 1}); err != nil {
		return 0, 0, err
	}
	if hi == 0 && lo > 0 && f == &fields[weekdayField] {
		hi = 7 // Sunday ends a week, too
	}
	if lo > hi {
		return 0, 0, p.fault(f.name, w.at, "%s runs backwards", clip(w.text))
	}
	return lo, hi, nil
}

// value reads a number or a name.
func (p *parser) value(f *field, w word) (int, error) {
	if w.text == "" {
		return 0, p.fault(f.name, w.at, "a value is missing")
	}
	for i, name := range f.names {
		if strings.EqualFold(w.text, name) {
			return f.from + i, nil
		}
	}
	n, ok := number(w.text)
	switch {
	case !ok:
		return 0, p.fault(f.name, w.at, "%s is no value; allowed %s", clip(w.text), f.allowed())
	case n < f.lo || n > f.hi:
		return 0, p.fault(f.name, w.at, "%d is not within %d and %d", n, f.lo, f.hi)
	}
	return n, nil
}

func (f *field) allowed() string {
	text := itoa(f.lo) + " to " + itoa(f.hi)
	if len(f.names) > 0 {
		text += ", " + f.names[0] + " to " + f.names[len(f.names)-1]
	}
	return text + ", *, ranges, lists and steps"
}

// date reads L, L-n, nW and LW.
func (p *parser) date(s *Schedule, w word) (done bool, err error) {
	f := &fields[dateField]
	text := strings.ToUpper(w.text)
	switch {
	case text == "L":
		s.days.fromLast |= 1
	case text == "LW" || text == "WL":
		s.days.lastWork = true
	case strings.HasPrefix(text, "L-"):
		n, ok := number(text[2:])
		if !ok || n > 30 {
			return false, p.fault(f.name, w.at+2, "%s is not within 0 and 30 days before the last", clip(text[2:]))
		}
		s.days.fromLast |= 1 << n
	case strings.HasSuffix(text, "W"):
		n, ok := number(text[:len(text)-1])
		if !ok || n < 1 || n > 31 {
			return false, p.fault(f.name, w.at, "%s: W follows one day from 1 to 31, or L", clip(w.text))
		}
		s.days.nearest |= 1 << n
	default:
		return false, nil
	}
	return true, nil
}

// weekday reads dL and d#n.
func (p *parser) weekday(s *Schedule, w word) (done bool, err error) {
	f := &fields[weekdayField]
	if day, nth, ok := strings.Cut(w.text, "#"); ok {
		d, fault := p.value(f, word{day, w.at})
		if fault != nil {
			return false, fault
		}
		n, ok := number(nth)
		if !ok || n < 1 || n > 5 {
			return false, p.fault(f.name, w.at+len(day)+1, "%s is not within 1 and 5, for the first to the fifth of the month", clip(nth))
		}
		s.days.nth[d%7] |= 1 << n
		return true, nil
	}
	if last := len(w.text) - 1; w.text[last] == 'L' || w.text[last] == 'l' {
		if last == 0 {
			return false, p.fault(f.name, w.at, "L follows a day here, such as 5L for the last Friday of the month")
		}
		d, fault := p.value(f, word{w.text[:last], w.at})
		if fault != nil {
			return false, fault
		}
		s.days.last |= 1 << (d % 7)
		return true, nil
	}
	return false, nil
}

// number reads up to four digits.
func number(text string) (int, bool) {
	if text == "" || len(text) > 4 {
		return 0, false
	}
	n := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		n = n*10 + int(text[i]-'0')
	}
	return n, true
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return string([]byte{byte('0' + n/10), byte('0' + n%10)})
}
