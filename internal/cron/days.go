package cron

import "math/bits"

// days says which days of a month match.
type days struct {
	dates      uint32   // days of the month, bits 1 to 31
	fromLast   uint32   // L-n, bit n; bit 0 is L
	nearest    uint32   // nW, bit n
	lastWork   bool     // LW
	weekdays   uint8    // bit 0 is Sunday
	nth        [7]uint8 // of a weekday, bits 1 to 5: which one in the month
	last       uint8    // dL, bit d
	either     bool     // one of date and weekday is enough
	allDates   bool     // every date matches
	allOfWeeks bool     // every weekday matches
}

// in returns the days of a month that match, as bits 1 to 31.
func (d *days) in(year, month int) uint32 {
	length := monthLength(year, month)
	all := uint32(1)<<(length+1) - 2
	first := weekday(daysTo(year, month, 1))
	dates, weeks := all, all
	if !d.allDates {
		dates = d.dated(length, first)
	}
	if !d.allOfWeeks {
		weeks = d.weekly(length, first)
	}
	if d.either {
		return (dates | weeks) & all
	}
	return dates & weeks & all
}

func (d *days) dated(length, first int) uint32 {
	dates := d.dates
	for set := d.fromLast; set != 0; set &= set - 1 {
		if day := length - bits.TrailingZeros32(set); day > 0 {
			dates |= 1 << day
		}
	}
	for set := d.nearest; set != 0; set &= set - 1 {
		if day := bits.TrailingZeros32(set); day <= length {
			dates |= 1 << nearestWork(day, length, first)
		}
	}
	if d.lastWork {
		dates |= 1 << lastWork(length, first)
	}
	return dates
}

// sevens are the first day and those one, two, three and four weeks later.
const sevens = 1 | 1<<7 | 1<<14 | 1<<21 | 1<<28

func (d *days) weekly(length, first int) uint32 {
	var due uint32
	for w := range 7 {
		begin := 1 + (w-first+7)%7 // the first such day of the month
		if d.weekdays&(1<<w) != 0 {
			due |= sevens << begin
		}
		for set := d.nth[w]; set != 0; set &= set - 1 {
			if day := begin + 7*(bits.TrailingZeros8(set)-1); day <= length {
				due |= 1 << day
			}
		}
		if d.last&(1<<w) != 0 {
			due |= 1 << (begin + (length-begin)/7*7)
		}
	}
	return due
}

// nearestWork is the weekday from Monday to Friday nearest to a day, in the same
// month.
func nearestWork(day, length, first int) int {
	switch (first + day - 1) % 7 {
	case 6: // Saturday
		if day > 1 {
			return day - 1
		}
		return day + 2
	case 0: // Sunday
		if day < length {
			return day + 1
		}
		return day - 2
	}
	return day
}

func lastWork(length, first int) int {
	switch (first + length - 1) % 7 {
	case 6:
		return length - 1
	case 0:
		return length - 2
	}
	return length
}

func monthLength(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// weekday of a day counted from 1970-01-01, a Thursday; 0 is Sunday.
func weekday(day int64) int { return int(((day+4)%7 + 7) % 7) }

// The two below count with years that begin in March, so that the leap day is the
// last one, and with eras of 400 years.

// civil is the date of a day counted from 1970-01-01.
func civil(day int64) (year, month, date int) {
	day += 719468
	era := floorDiv(day, 146097)
	inEra := day - era*146097
	yearOfEra := (inEra - inEra/1460 + inEra/36524 - inEra/146096) / 365
	inYear := inEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	shifted := (5*inYear + 2) / 153
	date = int(inYear-(153*shifted+2)/5) + 1
	month = int(shifted) + 3
	year = int(yearOfEra + era*400)
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, date
}

// daysTo is the number of days from 1970-01-01 to a date.
func daysTo(year, month, date int) int64 {
	y, m := int64(year), int64(month)
	if m <= 2 {
		y--
		m += 12
	}
	era := floorDiv(y, 400)
	yearOfEra := y - era*400
	inYear := (153*(m-3)+2)/5 + int64(date) - 1
	return era*146097 + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + inYear - 719468
}
