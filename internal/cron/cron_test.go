package cron_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/cron"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := cron.Zone(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func parse(t testing.TB, expression, name string) *cron.Schedule {
	t.Helper()
	s, err := cron.Parse(expression, cron.Options{Zone: zone(t, name)})
	if err != nil {
		t.Fatalf("%q: %v", expression, err)
	}
	return s
}

const form = "2006-01-02 15:04:05 -0700"

// The first times after one, in local time.
func TestNext(t *testing.T) {
	for _, tc := range []struct {
		name, expression, zone, after string
		want                          []string
	}{
		{"every five minutes", "*/5 * * * *", "", "2026-01-01 00:00:00 +0000", []string{"2026-01-01 00:05:00 +0000", "2026-01-01 00:10:00 +0000"}},
		{"not at the time itself", "0 0 * * *", "", "2026-01-01 00:00:00 +0000", []string{"2026-01-02 00:00:00 +0000"}},
		{"seconds", "*/20 59 23 31 12 *", "", "2026-12-31 23:59:20 +0000", []string{"2026-12-31 23:59:40 +0000", "2027-12-31 23:59:00 +0000"}},
		{"n with a step", "50/4 0 * * *", "", "2026-01-01 00:00:00 +0000", []string{"2026-01-01 00:50:00 +0000", "2026-01-01 00:54:00 +0000", "2026-01-01 00:58:00 +0000", "2026-01-02 00:50:00 +0000"}},
		{"lists, ranges, names", "0 9-10,15 * mar-APR mon", "", "2026-03-29 00:00:00 +0000", []string{"2026-03-30 09:00:00 +0000", "2026-03-30 10:00:00 +0000", "2026-03-30 15:00:00 +0000", "2026-04-06 09:00:00 +0000"}},
		{"Sunday is 7 and 0", "0 0 * * 7", "", "2026-01-01 00:00:00 +0000", []string{"2026-01-04 00:00:00 +0000"}},
		{"to Sunday", "0 0 * * SAT-SUN", "", "2026-01-01 00:00:00 +0000", []string{"2026-01-03 00:00:00 +0000", "2026-01-04 00:00:00 +0000", "2026-01-10 00:00:00 +0000"}},
		{"leap day", "0 12 29 2 *", "", "2026-01-01 00:00:00 +0000", []string{"2028-02-29 12:00:00 +0000", "2032-02-29 12:00:00 +0000"}},
		{"no leap day in 2100", "0 12 29 2 *", "", "2096-03-01 00:00:00 +0000", []string{"2104-02-29 12:00:00 +0000"}},
		{"date or weekday", "0 0 13 * FRI", "", "2026-02-01 00:00:00 +0000", []string{"2026-02-06 00:00:00 +0000", "2026-02-13 00:00:00 +0000", "2026-02-20 00:00:00 +0000", "2026-02-27 00:00:00 +0000", "2026-03-06 00:00:00 +0000"}},
		{"both when one begins with a star", "0 0 */2 * MON", "", "2026-02-01 00:00:00 +0000", []string{"2026-02-09 00:00:00 +0000", "2026-02-23 00:00:00 +0000", "2026-03-09 00:00:00 +0000"}},
		{"last day", "0 0 L * *", "", "2027-12-31 00:00:00 +0000", []string{"2028-01-31 00:00:00 +0000", "2028-02-29 00:00:00 +0000", "2028-03-31 00:00:00 +0000"}},
		{"before the last day", "0 0 L-2 2 *", "", "2026-01-01 00:00:00 +0000", []string{"2026-02-26 00:00:00 +0000", "2027-02-26 00:00:00 +0000", "2028-02-27 00:00:00 +0000"}},
		{"nearest weekday", "0 0 1W,15W * *", "", "2026-07-31 00:00:00 +0000", []string{"2026-08-03 00:00:00 +0000", "2026-08-14 00:00:00 +0000", "2026-09-01 00:00:00 +0000", "2026-09-15 00:00:00 +0000"}},
		{"nearest to a last Sunday", "0 0 31W * *", "", "2027-01-01 00:00:00 +0000", []string{"2027-01-29 00:00:00 +0000", "2027-03-31 00:00:00 +0000", "2027-05-31 00:00:00 +0000"}},
		{"last weekday", "0 0 LW * *", "", "2026-01-01 00:00:00 +0000", []string{"2026-01-30 00:00:00 +0000", "2026-02-27 00:00:00 +0000", "2026-03-31 00:00:00 +0000"}},
		{"last Friday", "0 0 * * 5L", "", "2026-01-01 00:00:00 +0000", []string{"2026-01-30 00:00:00 +0000", "2026-02-27 00:00:00 +0000"}},
		{"second and fifth Friday", "0 0 * * 5#2,FRI#5", "", "2026-01-01 00:00:00 +0000", []string{"2026-01-09 00:00:00 +0000", "2026-01-30 00:00:00 +0000", "2026-02-13 00:00:00 +0000", "2026-03-13 00:00:00 +0000"}},
		{"fifth Saturday of February", "0 0 * 2 6#5", "", "2026-01-01 00:00:00 +0000", []string{"2048-02-29 00:00:00 +0000", "2076-02-29 00:00:00 +0000"}},
		{"30 February", "0 0 30 2 *", "", "2026-01-01 00:00:00 +0000", nil},
		{"31 in short months", "0 0 31 4,6,9,11 *", "", "2026-01-01 00:00:00 +0000", nil},
		{"hourly", "@hourly", "", "2026-01-01 00:30:00 +0000", []string{"2026-01-01 01:00:00 +0000"}},
		{"weekly", "@weekly", "", "2026-01-01 00:30:00 +0000", []string{"2026-01-04 00:00:00 +0000"}},
		{"every", "@every 90s", "", "1970-01-01 00:00:00 +0000", []string{"1970-01-01 00:01:30 +0000", "1970-01-01 00:03:00 +0000"}},
		{"every day and a half", "@every 1d12h", "", "1970-01-01 00:00:00 +0000", []string{"1970-01-02 12:00:00 +0000", "1970-01-04 00:00:00 +0000"}},
		{"at", "@at 2027-01-01T09:00:00", "Europe/Berlin", "2026-01-01 00:00:00 +0000", []string{"2027-01-01 09:00:00 +0100"}},
		{"at, with a zone", "@at 2027-01-01T09:00:00Z", "Europe/Berlin", "2026-01-01 00:00:00 +0000", []string{"2027-01-01 10:00:00 +0100"}},
		{"at, over", "@at 2025-01-01 09:00", "", "2026-01-01 00:00:00 +0000", nil},

		{"gap: fixed hours once at its end", "0,15,30,45 2 * * *", "America/New_York", "2026-03-07 12:00:00 -0500", []string{"2026-03-08 03:00:00 -0400", "2026-03-09 02:00:00 -0400"}},
		{"gap: its end is due, too", "30 2,3 * * *", "America/New_York", "2026-03-08 00:00:00 -0500", []string{"2026-03-08 03:00:00 -0400", "2026-03-08 03:30:00 -0400"}},
		{"gap: of thirty minutes", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00 +1030", []string{"2026-10-04 02:30:00 +1100", "2026-10-05 02:15:00 +1100"}},
		{"gap: at midnight", "0 0 * * *", "Asia/Beirut", "2026-03-28 12:00:00 +0200", []string{"2026-03-29 01:00:00 +0300", "2026-03-30 00:00:00 +0300"}},
		{"gap: elapsed time", "*/30 * * * *", "America/New_York", "2026-03-08 01:00:00 -0500", []string{"2026-03-08 01:30:00 -0500", "2026-03-08 03:00:00 -0400"}},
		{"gap: every second hour", "0 */2 * * *", "America/New_York", "2026-03-08 00:00:00 -0500", []string{"2026-03-08 04:00:00 -0400"}},
		{"repeat: fixed hours once", "30 1 * * *", "America/New_York", "2026-10-31 12:00:00 -0400", []string{"2026-11-01 01:30:00 -0400", "2026-11-02 01:30:00 -0500"}},
		{"repeat: all minutes of a fixed hour", "*/30 1 * * *", "America/New_York", "2026-11-01 00:00:00 -0400", []string{"2026-11-01 01:00:00 -0400", "2026-11-01 01:30:00 -0400", "2026-11-02 01:00:00 -0500"}},
		{"repeat: elapsed time", "0 * * * *", "America/New_York", "2026-11-01 00:30:00 -0400", []string{"2026-11-01 01:00:00 -0400", "2026-11-01 01:00:00 -0500", "2026-11-01 02:00:00 -0500"}},
		{"repeat: asked in between", "30 1 * * *", "America/New_York", "2026-11-01 01:10:00 -0500", []string{"2026-11-02 01:30:00 -0500"}},
		{"no zone: every is elapsed", "@every 30m", "America/New_York", "2026-03-08 01:40:00 -0500", []string{"2026-03-08 03:00:00 -0400", "2026-03-08 03:30:00 -0400"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at, err := time.Parse(form, tc.after)
			if err != nil {
				t.Fatal(err)
			}
			s := parse(t, tc.expression, tc.zone)
			for i, want := range tc.want {
				at = s.Next(at)
				if got := at.Format(form); got != want {
					t.Fatalf("time %d: got %s, want %s", i, got, want)
				}
			}
			if next := s.Next(at); len(tc.want) == 0 && !next.IsZero() {
				t.Errorf("got %v, want none", next)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct {
		expression, field string
		column            int
		says              string
	}{
		{"", "", 1, "is empty"},
		{"   ", "", 1, "is empty"},
		{"* * * *", "", 7, "4 fields"},
		{"* * * * * * *", "", 13, "7 fields"},
		{"60 * * * *", "minute", 1, "60 is not within 0 and 59"},
		{"*  24 * * *", "hour", 4, "24 is not within"},
		{"* * 0 * *", "day of month", 5, "0 is not within 1 and 31"},
		{"* * * 13 *", "month", 7, "13 is not within"},
		{"* * * * 8", "day of week", 9, "8 is not within 0 and 7"},
		{"1,2,x * * * *", "minute", 5, `"x" is no value`},
		{"1,,2 * * * *", "minute", 3, "nothing stands before the comma"},
		{"1, * * * *", "minute", 2, "nothing follows the comma"},
		{"5-1 * * * *", "minute", 1, "runs backwards"},
		{"5- * * * *", "minute", 3, "a value is missing"},
		{"*/0 * * * *", "minute", 3, "the step"},
		{"*/ * * * *", "minute", 3, "the step"},
		{"*/99 * * * *", "minute", 3, "the step"},
		{"-1 * * * *", "minute", 1, "a value is missing"},
		{"* * 32W * *", "day of month", 5, "W follows"},
		{"* * L-40 * *", "day of month", 7, "before the last"},
		{"* * * * L", "day of week", 9, "L follows a day"},
		{"* * * * 5#6", "day of week", 11, "within 1 and 5"},
		{"* * * FOO *", "month", 7, `"FOO" is no value; allowed 1 to 12, JAN to DEC`},
		{"* * * * 1-9", "day of week", 11, "9 is not within"},
		{"@reboot", "", 1, "no meaning"},
		{"@every", "", 1, "wants one duration"},
		{"@every soon", "", 8, "no duration"},
		{"@every 10ms", "", 8, "whole seconds"},
		{"@every -5s", "", 8, "not within"},
		{"@daily 5", "", 8, "stands alone"},
		{"@at tomorrow", "", 5, "is no time"},
		{"@sometimes", "", 1, "unknown name"},
		{"TZ=UTC * * * * *", "", 1, "time zone is a setting"},
		{strings.Repeat("1,", 600) + "1 * * * *", "", 1, "bytes long"},
		{"٣ * * * *", "minute", 1, "is no value"},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			_, err := cron.Parse(tc.expression, cron.Options{})
			var fault *cron.Error
			if !errors.As(err, &fault) {
				t.Fatalf("got %v, want an error", err)
			}
			if fault.Field != tc.field || fault.Column != tc.column || !strings.Contains(fault.Problem, tc.says) || fault.Expression != tc.expression {
				t.Errorf("got %q at %d: %s", fault.Field, fault.Column, fault.Problem)
			}
		})
	}
	for _, name := range []string{"Local", "Nowhere/Land", "../etc/passwd"} {
		if _, err := cron.Zone(name); err == nil {
			t.Errorf("zone %q passed", name)
		}
	}
}

// What ~ stands for is the same for one seed, and spread over seeds.
func TestSpread(t *testing.T) {
	midnight := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Second)
	next := func(expression, seed string) time.Time {
		s, err := cron.Parse(expression, cron.Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return s.Next(midnight)
	}
	minutes, offsets, millis := map[int]int{}, map[int]int{}, map[time.Time]bool{}
	for i := range 6000 {
		seed := strings.Repeat("s", i%7) + time.Duration(i).String()
		at := next("~ * * * *", seed)
		if again := next("~ * * * *", seed); !again.Equal(at) {
			t.Fatalf("seed %q: %v, then %v", seed, at, again)
		}
		minutes[at.Minute()]++
		every := next("@every 1m", seed)
		offsets[int(every.Sub(midnight).Seconds())]++
		millis[every] = true
		if again := next("@every 1m", seed); !again.Equal(every) || !every.Equal(every.Truncate(time.Millisecond)) {
			t.Fatalf("seed %q: %v, then %v", seed, every, again)
		}
		if m := next("10~20 3 * * *", seed).Minute(); m < 10 || m > 20 {
			t.Fatalf("seed %q: 10~20 is %d", seed, m)
		}
		if m := next("~/15 * * * *", seed).Minute(); m > 14 {
			t.Fatalf("seed %q: ~/15 begins at %d", seed, m)
		}
		if d := next("0 0 ~ * *", seed); d.Month() != time.January || d.Day() > 28 {
			t.Fatalf("seed %q: ~ is %v", seed, d)
		}
	}
	for what, spread := range map[string]map[int]int{"~": minutes, "@every 1m": offsets} {
		if len(spread) != 60 {
			t.Errorf("%s falls on %d of 60", what, len(spread))
		}
		for at, n := range spread { // 100 on average
			if n < 50 || n > 160 {
				t.Errorf("%s: %d of 6000 at %d", what, n, at)
			}
		}
	}
	if len(millis) < 5500 { // of 60,000 milliseconds
		t.Errorf("@every 1m falls on %d milliseconds", len(millis))
	}
	if got := next("~ ~ * * *", ""); !got.Equal(midnight.Add(time.Second)) {
		t.Errorf("without a seed: %v", got)
	}
}

func TestWords(t *testing.T) {
	for expression, want := range map[string]string{
		"* * * * *":               "every minute",
		"* * * * * *":             "every second",
		"*/5 * * * * *":           "every 5 seconds",
		"*/5 * * * *":             "every 5 minutes",
		"0 * * * *":               "minute 0 of every hour",
		"0,30 * * * *":            "every 30 minutes",
		"5,17 * * * *":            "minutes 5 and 17 of every hour",
		"0 2 * * *":               "at 02:00",
		"30 9,17 * * 1-5":         "at 09:30 and 17:30, from Monday to Friday",
		"15 10 20 30 * *":         "at 20:10:15, on day 30 of the month",
		"*/10 9-17 * * *":         "every 10 minutes of hours 9 to 17",
		"0 */2 * * *":             "minute 0 of every 2nd hour",
		"23 0-20/2 * * *":         "minute 23 of every 2nd hour from 0 to 20",
		"0 0 */2 * 1-5":           "at 00:00, on every 2nd day from 1 to 31 of the month if it is Monday to Friday",
		"0 0 1 * 1-5":             "at 00:00, on day 1 of the month and from Monday to Friday",
		"@every 1d2h3s":           "every 1 day, 2 hours and 3 seconds",
		"0 0 13 * FRI":            "at 00:00, on day 13 of the month and on Friday",
		"0 0 */2 * MON":           "at 00:00, on every 2nd day from 1 to 31 of the month if it is Monday",
		"0 0 L,15W,LW 1,7 *":      "at 00:00, on the last day, the weekday nearest to the 15th and the last weekday of the month, in January and July",
		"0 0 L-3 * *":             "at 00:00, on the day 3 days before the last of the month",
		"0 0 * * 5L,MON#1":        "at 00:00, on the first Monday of the month and the last Friday of the month",
		"0 0 1-5 * *":             "at 00:00, on days 1 to 5 of the month",
		"@every 90s":              "every 1 minute and 30 seconds",
		"@every 1h":               "every hour",
		"@every 7d":               "every 7 days",
		"@at 2027-01-01T09:00:00": "once, on 2027-01-01 at 09:00:00 UTC",
		"@yearly":                 "at 00:00, on day 1 of the month, in January",
	} {
		if got := parse(t, expression, "").Words(); got != strings.ReplaceAll(want, "first Monday", "1st Monday") {
			t.Errorf("%s\n got %s\nwant %s", expression, got, want)
		}
	}
	if got := parse(t, "0 9 * * *", "Asia/Tokyo").Words(); got != "at 09:00, Asia/Tokyo time" {
		t.Errorf("got %s", got)
	}
}

func TestAllocNext(t *testing.T) {
	for _, tc := range []struct{ expression, zone string }{
		{"*/5 * * * *", ""}, {"*/5 * * * *", "America/New_York"}, {"30 2 * * *", "America/New_York"},
		{"0 0 29 2 *", "Europe/Berlin"}, {"0 0 30 2 *", ""}, {"@every 5s", ""}, {"0 0 LW,15W * 5#2,1L", "Asia/Tokyo"},
	} {
		s := parse(t, tc.expression, tc.zone)
		at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		if n := testing.AllocsPerRun(200, func() { at = at.Add(61 * time.Minute); s.Next(at) }); n != 0 {
			t.Errorf("%s in %q: %v allocations", tc.expression, tc.zone, n)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	for _, tc := range []struct{ expression, zone string }{
		{"*/5 * * * *", ""}, {"*/5 * * * *", "America/New_York"}, {"0 2 * * *", "America/New_York"}, {"0 0 13 * FRI", ""}, {"0 0 30 2 *", ""},
	} {
		b.Run(strings.ReplaceAll(tc.expression+" "+tc.zone, "/", "÷"), func(b *testing.B) {
			s := parse(b, tc.expression, tc.zone)
			at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			b.ReportAllocs()
			for b.Loop() {
				if next := s.Next(at); !next.IsZero() {
					at = next
				}
			}
		})
	}
}
