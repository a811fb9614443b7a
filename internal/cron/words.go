package cron

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Words says in English when the schedule is due.
func (s *Schedule) Words() string {
	switch s.form {
	case every:
		return "every " + lasting(time.Duration(s.period)*time.Millisecond)
	case once:
		return "once, on " + time.Unix(s.at, 0).In(s.zone).Format("2006-01-02 at 15:04:05 MST")
	}
	said := s.clockWords()
	if days := s.dayWords(); days != "" {
		said += ", " + days
	}
	if s.month != 1<<13-2 {
		said += ", in " + list(set(uint64(s.month)), func(m int) string { return time.Month(m).String() })
	}
	if s.zone != time.UTC {
		said += ", " + s.zone.String() + " time"
	}
	return said
}

// lasting is a duration in words.
func lasting(d time.Duration) string {
	var parts []string
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int(d / unit.length); n > 0 {
			parts = append(parts, plural(n, unit.name))
			d -= time.Duration(n) * unit.length
		}
	}
	if len(parts) == 1 {
		return strings.TrimPrefix(parts[0], "1 ")
	}
	return series(parts)
}

func plural(n int, name string) string {
	if n != 1 {
		name += "s"
	}
	return strconv.Itoa(n) + " " + name
}

// clockWords says the times of a day.
func (s *Schedule) clockWords() string {
	hours, minutes, seconds := set(uint64(s.hour)), set(s.minute), set(s.second)
	if n := len(hours) * len(minutes) * len(seconds); n <= 6 && len(hours) < 24 {
		var times []string
		for _, h := range hours {
			for _, m := range minutes {
				for _, sec := range seconds {
					times = append(times, clock(h, m, sec, s.second != 1))
				}
			}
		}
		return "at " + series(times)
	}
	said := ""
	if s.second != 1 {
		said = units(seconds, 60, "second") + " of "
	}
	switch {
	case len(minutes) == 60 && s.second != 1:
		said += "every minute"
	default:
		said += units(minutes, 60, "minute")
	}
	if len(hours) < 24 {
		said += " of " + hourWords(hours)
	} else if stride(minutes, 60) == 0 {
		said += " of every hour"
	}
	if s.second != 1 && len(seconds) == 60 && len(minutes) == 60 && len(hours) == 24 {
		return "every second"
	}
	if step := stride(seconds, 60); s.second != 1 && step > 0 && len(minutes) == 60 && len(hours) == 24 {
		return "every " + plural(step, "second")
	}
	return said
}

// hourWords says of which hours.
func hourWords(hours []int) string {
	if step := stride(hours, 24); step > 1 {
		return "every " + ordinal(step) + " hour"
	}
	if step := even(hours); step > 1 && len(hours) > 6 {
		return fmt.Sprintf("every %s hour from %d to %d", ordinal(step), hours[0], hours[len(hours)-1])
	}
	return units(hours, 24, "hour")
}

func clock(h, m, s int, seconds bool) string {
	if seconds {
		return fmt.Sprintf("%02d:%02d:%02d", h, m, s)
	}
	return fmt.Sprintf("%02d:%02d", h, m)
}

// units says which minutes of an hour, or the like.
func units(values []int, size int, name string) string {
	if step := stride(values, size); step == 1 {
		return "every " + name
	} else if step > 1 {
		return "every " + plural(step, name)
	}
	lo, hi, step := values[0], values[len(values)-1], even(values)
	switch {
	case len(values) == 1:
		return name + " " + strconv.Itoa(lo)
	case step == 1 && len(values) > 2:
		return fmt.Sprintf("%ss %d to %d", name, lo, hi)
	case step > 1 && len(values) > 6:
		return fmt.Sprintf("every %s from %d to %d", plural(step, name), lo, hi)
	}
	return name + "s " + list(values, strconv.Itoa)
}

// stride is n when the values are every n-th of a whole circle of size from 0, else 0.
func stride(values []int, size int) int {
	step := even(values)
	if len(values) > 1 && values[0] == 0 && step > 0 && step*len(values) == size {
		return step
	}
	return 0
}

// even is the distance between neighbours when it is always the same, else 0.
func even(values []int) int {
	if len(values) < 2 {
		return 0
	}
	step := values[1] - values[0]
	for i := 2; i < len(values); i++ {
		if values[i]-values[i-1] != step {
			return 0
		}
	}
	return step
}

// dayWords says the days; nothing when it is every day.
func (s *Schedule) dayWords() string {
	d := &s.days
	var dates, weeks string
	if !d.allDates {
		dates = d.dateWords()
	}
	if !d.allOfWeeks {
		weeks = d.weekWords()
	}
	switch {
	case dates == "" || weeks == "":
		return dates + weeks
	case d.either:
		return dates + " and " + weeks
	}
	for _, word := range []string{"on ", "from ", "the "} {
		weeks = strings.TrimPrefix(weeks, word)
	}
	return dates + " if it is " + weeks
}

func (d *days) dateWords() string {
	var parts []string
	if values := set(uint64(d.dates)); len(values) > 0 {
		step := even(values)
		switch {
		case len(values) > 3 && step == 1:
			parts = append(parts, fmt.Sprintf("days %d to %d", values[0], values[len(values)-1]))
		case len(values) > 6 && step > 1:
			parts = append(parts, fmt.Sprintf("every %s day from %d to %d", ordinal(step), values[0], values[len(values)-1]))
		case len(values) == 1:
			parts = append(parts, "day "+strconv.Itoa(values[0]))
		default:
			parts = append(parts, "days "+list(values, strconv.Itoa))
		}
	}
	for _, n := range set(uint64(d.fromLast)) {
		switch n {
		case 0:
			parts = append(parts, "the last day")
		default:
			parts = append(parts, "the day "+plural(n, "day")+" before the last")
		}
	}
	for _, n := range set(uint64(d.nearest)) {
		parts = append(parts, "the weekday nearest to the "+ordinal(n))
	}
	if d.lastWork {
		parts = append(parts, "the last weekday")
	}
	return "on " + series(parts) + " of the month"
}

func (d *days) weekWords() string {
	var parts []string
	name := func(w int) string { return time.Weekday(w).String() }
	if values := set(uint64(d.weekdays)); len(values) > 2 && even(values) == 1 {
		parts = append(parts, "from "+name(values[0])+" to "+name(values[len(values)-1]))
	} else if len(values) > 0 {
		parts = append(parts, list(values, name))
	}
	for w := range 7 {
		for _, n := range set(uint64(d.nth[w])) {
			parts = append(parts, "the "+ordinal(n)+" "+name(w)+" of the month")
		}
		if d.last&(1<<w) != 0 {
			parts = append(parts, "the last "+name(w)+" of the month")
		}
	}
	return strings.Replace("on "+series(parts), "on from ", "from ", 1)
}

func ordinal(n int) string {
	suffix := "th"
	if n/10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

// set lists the bits of a word.
func set(word uint64) []int {
	var values []int
	for ; word != 0; word &= word - 1 {
		values = append(values, bits.TrailingZeros64(word))
	}
	return values
}

func list(values []int, name func(int) string) string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = name(v)
	}
	return series(names)
}

// series joins with commas, and with "and" at last.
func series(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}
