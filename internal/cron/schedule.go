package cron

import (
	"math/bits"
	"strings"
	"time"
)

// Options are what an expression is read with.
type Options struct {
	// Zone is where the fields hold; nil is UTC.
	Zone *time.Location
	// Seed chooses what ~ stands for and the offset of @every: the same seed always
	// the same, different seeds spread. Without one ~ is the lowest value, and @every
	// has no offset.
	Seed string
}

// form is what sort of schedule an expression is.
type form uint8

const (
	calendar form = iota
	every
	once
)

// Schedule is a parsed expression. It does not change, and is safe for concurrent
// use.
type Schedule struct {
	expression string
	form       form
	zone       *time.Location

	// Of a calendar: the values that match, as bits.
	second, minute uint64
	hour           uint32
	month          uint16
	days           days
	first          int64 // the first time of a day that matches, in seconds
	everyDay       bool
	follows        bool // elapsed time; else the hours are fixed
	seconds        bool // the expression has six fields

	period, offset int64 // of every, in milliseconds
	at             int64 // of once, in seconds since 1970
}

// String is the expression as it was given.
func (s *Schedule) String() string { return s.expression }

// Zone is where the fields hold.
func (s *Schedule) Zone() *time.Location { return s.zone }

// Spread says that the seed has a part in when the schedule is due.
func (s *Schedule) Spread() bool { return s.form == every || strings.Contains(s.expression, "~") }

// Once says that the schedule is due a single time.
func (s *Schedule) Once() bool { return s.form == once }

// Next is the first time after another at which the schedule is due, in the
// schedule's zone; the zero time when there is none. It is a whole second, but for
// @every with a seed: there the offset has milliseconds. It does not allocate.
func (s *Schedule) Next(after time.Time) time.Time {
	if s.form == every {
		from := after.UnixMilli() + 1
		return time.UnixMilli(s.offset + ceilDiv(from-s.offset, s.period)*s.period).In(s.zone)
	}
	from := after.Unix() + 1 // the first whole second after it
	var next int64
	switch s.form {
	case once:
		if s.at < from {
			return time.Time{}
		}
		next = s.at
	case calendar:
		var ok bool
		if next, ok = s.next(from); !ok {
			return time.Time{}
		}
	}
	return time.Unix(next, 0).In(s.zone)
}

// overlap bounds how far the local clock is ever set.
const overlap = 2 * daySeconds

// next goes from one period of constant offset to the one after it.
func (s *Schedule) next(from int64) (int64, bool) {
	if s.zone == time.UTC {
		return s.onWall(from)
	}
	for {
		t := time.Unix(from, 0).In(s.zone)
		_, shift := t.Zone()
		offset := int64(shift)
		begin, end := t.ZoneBounds()
		if !end.IsZero() && !end.After(t) {
			// On 31 December of a leap year the library names the first second of that day.
			end = t.Add(time.Hour)
		}
		wall := from + offset
		if !s.follows && !begin.IsZero() && from-begin.Unix() < overlap {
			start := begin.Unix()
			_, shift := time.Unix(start-1, 0).In(s.zone).Zone()
			shown := start + int64(shift) // what the clock would have shown without the change
			if from == start && shown < start+offset {
				if w, ok := s.onWall(shown); ok && w < start+offset {
					return start, true // left out by the gap
				}
			}
			wall = max(wall, shown) // shown before
		}
		w, ok := s.onWall(wall)
		if !ok {
			return 0, false
		}
		if end.IsZero() || w-offset < end.Unix() {
			return w - offset, true
		}
		from = end.Unix()
	}
}

// daySeconds is the length of a day on a clock that is never set.
const daySeconds = 86400

// maxMonths is after how many months the calendar repeats itself, days of week
// included.
const maxMonths = 400 * 12

// onWall is the first match at or after a time, on a clock that is never set:
// seconds since 1970 of what it shows.
func (s *Schedule) onWall(wall int64) (int64, bool) {
	day := floorDiv(wall, daySeconds)
	clock := wall - day*daySeconds
	if s.everyDay {
		if c, ok := s.onClock(clock); ok {
			return day*daySeconds + c, true
		}
		return (day+1)*daySeconds + s.first, true
	}
	year, month, date := civil(day)
	for range maxMonths + 1 {
		if s.month&(1<<month) != 0 {
			due := s.days.in(year, month) &^ (1<<date - 1)
			if clock > s.first && due&(1<<date) != 0 { // the day that is asked about has begun
				if c, ok := s.onClock(clock); ok {
					return daysTo(year, month, date)*daySeconds + c, true
				}
				due &^= 1 << date
			}
			if due != 0 {
				return daysTo(year, month, bits.TrailingZeros32(due))*daySeconds + s.first, true
			}
		}
		clock, date = 0, 1
		if month++; month > 12 {
			year, month = year+1, 1
		}
	}
	return 0, false
}

// onClock is the first match at or after a time of day, in seconds.
func (s *Schedule) onClock(clock int64) (int64, bool) {
	hour, minute, second := clock/3600, clock/60%60, clock%60
	if s.hour&(1<<hour) != 0 {
		if s.minute&(1<<minute) != 0 {
			if left := s.second >> second; left != 0 {
				return clock + int64(bits.TrailingZeros64(left)), true
			}
		}
		if left := s.minute >> (minute + 1); left != 0 {
			minute += 1 + int64(bits.TrailingZeros64(left))
			return hour*3600 + minute*60 + int64(bits.TrailingZeros64(s.second)), true
		}
	}
	left := s.hour >> (hour + 1)
	if left == 0 {
		return 0, false
	}
	hour += 1 + int64(bits.TrailingZeros32(left))
	return hour*3600 + s.first%3600, true
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func ceilDiv(a, b int64) int64 { return -floorDiv(-a, b) }
