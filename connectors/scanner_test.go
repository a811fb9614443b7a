package connectors

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
)

func TestTakeDecimal(t *testing.T) {
	for _, text := range []string{
		"0", "1", "-1", "0.1", "61737.63000000", "0.00000000", "0.014", "123456789012345678",
		"1234567890123456789", "0.000000000000000000001", "1.19647E-5", "1e3", "12345678.12345678",
		"99999999999999999999999999999999999999", "-0.5", "7E4", "1E-9", "-2.50e+2", "1e17", "9e18", "123456789012345678e3", "0e5", "1e-18", "1e-30", "1.5e01", "61800.20", "1.123456789",
	} {
		want, err := market.ParseDecimal([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, tail := range []string{"", `"`, `","0.1"],`, "]", "         "} {
			got, end := TakeDecimal([]byte("x"+text+tail), 1)
			if got.String() != want.String() || got.Scale() != want.Scale() || end != 1+len(text) {
				t.Errorf("TakeDecimal(%q) = %v, %d; want %v, %d", text+tail, got, end, want, 1+len(text))
			}
		}
	}
	for _, text := range []string{"", "-", ".5", "1.", "a", "1e", "1e999999", `"`, "1.e5"} {
		if d, end := TakeDecimal([]byte(text), 0); end >= 0 {
			t.Errorf("TakeDecimal(%q) = %v, %d; want a refusal", text, d, end)
		}
	}
}

func TestTakeInt(t *testing.T) {
	for _, text := range []string{"0", "7", "12345678", "1723161255208", "123456789012345678"} {
		want, _ := strconv.ParseInt(text, 10, 64)
		if got, end := TakeInt([]byte(text+","), 0); got != want || end != len(text) {
			t.Errorf("TakeInt(%q) = %d, %d", text, got, end)
		}
	}
	for _, text := range []string{"", "-1", "x", "1234567890123456789"} {
		if n, end := TakeInt([]byte(text), 0); end >= 0 {
			t.Errorf("TakeInt(%q) = %d, %d; want a refusal", text, n, end)
		}
	}
}

func TestScannerSkipAgreesWithJSON(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `{"a":1}`, `[1,2,[3,{"b":[]}],"x\"y"]`, ` { "a" : [ 1 , 2 ] } `, `"\u00e9\ud83d\ude00"`,
		`-0.5e+10`, `01`, `1.`, `{"a"}`, `{"a":}`, `[1,]`, `{,}`, `[`, `{"a":1`, `tru`, `null`, `"\x"`, `{"a":1,}`,
		`[1 2]`, `nul`, `"`, ``, `{} {}`, "\"\x01\"", `--1`, `1e`, `{"a":{"b":{"c":[[[]]]}}}`, `[]]`,
	} {
		var s Scanner
		s.Reset([]byte(text), 0)
		s.Skip()
		s.End()
		if got, want := s.Err() == nil, json.Valid([]byte(text)); got != want {
			t.Errorf("Skip(%q) accepted = %v, want %v (%v)", text, got, want, s.Err())
		}
	}
}

func TestScannerNestingIsBounded(t *testing.T) {
	var s Scanner
	s.Reset([]byte(strings.Repeat("[", 1_000_000)), 0)
	s.Skip()
	var bad *FrameError
	if !errors.As(s.Err(), &bad) || bad.Problem != "nested too deeply" || bad.Offset != maxNesting {
		t.Fatalf("err = %v, want nested too deeply at %d", s.Err(), maxNesting)
	}
}

func TestScannerStrings(t *testing.T) {
	for text, want := range map[string]string{
		`"abc"`: "abc", `"a\"b"`: `a"b`, `"\u0065"`: "e", `"\ud83d\ude00!"`: "😀!", `"\ud83d"`: "\ufffd", `"\\\/\n"`: "\\/\n",
	} {
		var s Scanner
		s.Reset([]byte(text), 0)
		if got := string(s.String()); got != want || s.Err() != nil {
			t.Errorf("String(%s) = %q, %v; want %q", text, got, s.Err(), want)
		}
	}
}

func FuzzScanner(f *testing.F) {
	f.Add([]byte(`{"a":[1,"x",{"b":null}]}`))
	f.Add([]byte(`[true,false,-1.5e3,"\u0041"]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Scanner
		s.Reset(b, 0)
		s.Skip()
		s.End()
		if got, want := s.Err() == nil, json.Valid(b); got != want {
			// Two rules differ on purpose: depth, and strings that are not UTF-8 are
			// both left to the reader of the value.
			var bad *FrameError
			if errors.As(s.Err(), &bad) && bad.Problem == "nested too deeply" {
				return
			}
			t.Fatalf("accepted = %v, encoding/json says %v: %v", got, want, s.Err())
		}
	})
}
