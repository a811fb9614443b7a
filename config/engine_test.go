package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// sample has one setting of every shape.
type sample struct {
	Name    string            `yaml:"name"`
	On      bool              `yaml:"on"`
	Count   uint8             `yaml:"count" min:"1"`
	Ratio   float64           `yaml:"ratio" min:"0" max:"1"`
	Wait    time.Duration     `yaml:"wait" min:"1s" max:"2h"`
	Size    int64             `yaml:"size" unit:"bytes" max:"1GiB"`
	Modes   []string          `yaml:"modes" enum:"fast,slow"`
	Address netip.Addr        `yaml:"address"`
	Token   Secret            `yaml:"token"`
	Plain   string            `yaml:"plain" secret:"true"`
	Labels  map[string]string `yaml:"labels"`
	Parts   []part            `yaml:"parts"`
	TLS     *part             `yaml:"tls"`
	base    int               //nolint:unused // to show that it is no setting
	Inner   `yaml:",inline"`
	Skipped int `yaml:"-"`
}

type Inner struct {
	Inlined int `yaml:"inlined"`
}

type part struct {
	Low  int `yaml:"low"`
	High int `yaml:"high"`
}

func (p *part) SetDefaults() { p.High = 10 }

func (p part) Validate() error {
	if p.Low > p.High {
		return errors.Join(wrong("low", "must not be above high"))
	}
	return nil
}

// Validate asks its parts too, as a package that is used alone would.
func (s sample) Validate() error {
	var errs []error
	for i, p := range s.Parts {
		if err := p.Validate(); err != nil {
			errs = append(errs, prefixed{fmt.Sprintf("parts[%d]", i), err})
		}
	}
	if s.Name == "worded" {
		errs = append(errs, fmt.Errorf("outer: %w", fmt.Errorf("no setting: %s", s.Name)), errors.New("inlined: must be set"))
	}
	if s.Name == "forbidden" {
		errs = append(errs, errors.New("the sample is forbidden"))
	}
	return errors.Join(errs...)
}

type prefixed struct {
	field string
	err   error
}

func (p prefixed) Field() string { return p.field }
func (p prefixed) Error() string { return p.field + ": " + p.err.Error() }
func (p prefixed) Unwrap() error { return p.err }

// decode reads YAML and returns the sample, the decoder and all errors as text.
func decode(t *testing.T, text string) (sample, *decoder, string) {
	t.Helper()
	s := new(sample)
	d := newDecoder(s, nil)
	v, errs := parseYAML([]byte(text), Origin{Source: SourceFile, File: "f"})
	d.errs = errs
	d.apply(v)
	d.validate()
	return *s, d, d.errs.sorted().Error()
}

func TestEveryShape(t *testing.T) {
	got, d, errs := decode(t, `
name: a
on: true
count: 0x10
ratio: 0.5
wait: 1h30m
size: 1 MiB
modes: [fast]
address: 10.0.0.1
token: abc
plain: def
labels: {x.y: z}
parts:
  - low: 1
  - {low: 2, high: 3}
tls: {low: 5}
inlined: 7
`)
	if errs != "" {
		t.Fatal(errs)
	}
	want := sample{
		Name: "a", On: true, Count: 16, Ratio: 0.5, Wait: 90 * time.Minute, Size: 1 << 20, Modes: []string{"fast"},
		Address: netip.MustParseAddr("10.0.0.1"), Token: "abc", Plain: "def", Labels: map[string]string{"x.y": "z"},
		Parts: []part{{1, 10}, {2, 3}}, TLS: &part{5, 10}, Inner: Inner{7},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if o := d.origins["parts[1].high"]; o.Line != 15 || o.Column != 20 {
		t.Errorf("parts[1].high is at %v, want 15:20", o)
	}
}

func TestWrongValues(t *testing.T) {
	cases := []struct{ name, text, want string }{
		{"number for a string", "name: 42", `f:1:7: name: found 42; allowed: a string; put it in quotes: "42"`},
		{"string for a number", `count: "8"`, `f:1:8: count: found "8"; allowed: an integer of at least 1, without quotes`},
		{"word for a bool", "on: yes", `f:1:5: on: found "yes"; allowed: true or false`},
		{"below", "count: 0", "f:1:8: count: found 0; allowed: an integer of at least 1"},
		{"overflow", "count: 256", "f:1:8: count: found 256; allowed: an integer of at least 1"},
		{"negative", "count: -1", "f:1:8: count: found -1"},
		{"huge", "size: 99999999999999999999", "size: found"},
		{"float for an integer", "inlined: 1.0", "f:1:10: inlined: found 1.0; allowed: an integer"},
		{"not a number", "ratio: .nan", "ratio: found .nan"},
		{"infinite", "ratio: .inf", "ratio: found .inf"},
		{"above", "ratio: 1.01", "found 1.01; allowed: a number from 0 to 1"},
		{"duration without unit", "wait: 30", "f:1:7: wait: found 30; allowed: a duration such as 30s, 5m or 24h from 1s to 2h"},
		{"duration above", "wait: 1d", `found "1d"`},
		{"size above", "size: 2GiB", `found "2GiB"; allowed: a size such as 512MiB or 1GiB of at most 1GiB`},
		{"size below zero", "size: -1", "found -1"},
		{"enum of items", "modes: [fast, fats]", `f:1:15: modes[1]: found "fats"; allowed: one of fast, slow; did you mean fast?`},
		{"scalar for a list", "modes: fast", `f:1:8: modes: found "fast"; allowed: a list, each item one of fast, slow`},
		{"null in a list", "modes: [~]", "modes[0]: found nothing"},
		{"list for a map", "labels: [a]", "f:1:9: labels: found a list; allowed: a map"},
		{"own reader", "address: 300.1.1.1", `f:1:10: address: found "300.1.1.1": ParseAddr`},
		{"unknown", "cuont: 3", "f:1:1: cuont: unknown key; did you mean count?"},
		{"unknown below", "tls: {hihg: 3}", "f:1:7: tls.hihg: unknown key; did you mean tls.high?"},
		{"not exported", "base: 1", "f:1:1: base: unknown key"},
		{"twice", "on: true\non: false", "f:2:1: the key on is given twice, first at line 1"},
		{"relation", "tls:\n  low: 11", "f:2:8: tls.low: found 11: must not be above high"},
		{"relation in a list", "parts:\n  - low: 1\n  - low: 12", "f:3:10: parts[1].low: found 12: must not be above high"},
		{"section", "name: forbidden", "default: the sample is forbidden"},
		{"long", "on: " + strings.Repeat("x", 5000), "…"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, d, got := decode(t, tc.text)
			if !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q in it", got, tc.want)
			}
			if len(d.errs) != 1 {
				t.Errorf("got %d errors, want 1:\n%s", len(d.errs), got)
			}
			if len(got) > 400 {
				t.Errorf("the message has %d bytes", len(got))
			}
		})
	}
}

// TestKeysInText: an error that begins with a key of the section is about it; one
// that begins with any other word is about the section.
func TestKeysInText(t *testing.T) {
	_, d, got := decode(t, "name: worded\ninlined: 0\n")
	want := "default: outer: no setting: worded\nf:2:10: inlined: found 0: must be set"
	if got != want || d.errs[0].Path != "" || d.errs[1].Path != "inlined" {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestWrongValueLeavesTheRest: nothing is lost by an error beside it.
func TestWrongValueLeavesTheRest(t *testing.T) {
	got, _, errs := decode(t, "count: x\nname: kept\nmodes: [slow, wrong]\n")
	if got.Name != "kept" || got.Count != 0 || got.Modes != nil {
		t.Errorf("got %+v", got)
	}
	if n := strings.Count(errs, "\n") + 1; n != 2 {
		t.Errorf("%d errors, want 2:\n%s", n, errs)
	}
}

func TestSecretsStaySecret(t *testing.T) {
	const secret = "hunter2"
	s, d, errs := decode(t, "token: "+secret+"\nplain: "+secret+"\n")
	if errs != "" || s.Token.Reveal() != secret {
		t.Fatalf("got %q, %s", s.Token.Reveal(), errs)
	}
	var out []string
	// fmt asks no method for %p; go vet refuses it.
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T"} {
		out = append(out, fmt.Sprintf(verb, s.Token), fmt.Sprintf(verb, &s.Token), fmt.Sprintf(verb, struct{ T Secret }{s.Token}))
	}
	raw, err := json.Marshal(struct{ T Secret }{s.Token})
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, string(raw))
	core, logs := observer.New(zapcore.DebugLevel)
	zap.New(core).Info("x", zap.Any("token", s.Token), zap.Stringer("s", s.Token), zap.Reflect("r", struct{ T Secret }{s.Token}))
	encoded, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{}).EncodeEntry(logs.All()[0].Entry, logs.All()[0].Context)
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, encoded.String())
	var shown strings.Builder
	if err := write(&shown, d.lines("", field{typ: d.root.Type()}, d.root, ""), true); err != nil {
		t.Fatal(err)
	}
	out = append(out, shown.String())
	_, _, problem := decode(t, "token: ["+secret+"]\nplain: {a: "+secret+"}\n")
	_, _, number := decode(t, "token: 4711\nplain: 4711\n")
	out = append(out, problem, number)
	for _, text := range out {
		if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) || strings.Contains(text, "4711") {
			t.Errorf("the secret is in %q", text)
		}
	}
	if !strings.Contains(shown.String(), "token: [redacted]") || !strings.Contains(shown.String(), "plain: [redacted]") {
		t.Errorf("shown: %s", shown.String())
	}
}

func TestShowOrigins(t *testing.T) {
	_, d, _ := decode(t, "name: 'a: b'\nparts: [{low: 1}]\n")
	var b strings.Builder
	if err := write(&b, d.lines("", field{typ: d.root.Type()}, d.root, ""), true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# f:1:7", "  - low: 1 ", "# f:2:15", "    high: 10"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("want %q in\n%s", want, b.String())
		}
	}
}

func TestDurationsAndSizes(t *testing.T) {
	cases := []struct {
		shape shape
		text  string
		want  int64
		err   error
	}{
		{shapeDuration, "30s", int64(30 * time.Second), nil},
		{shapeDuration, "7d", int64(7 * 24 * time.Hour), nil},
		{shapeDuration, "0", 0, nil},
		{shapeDuration, "30", 0, errForm},
		{shapeDuration, "1.5d", 0, errForm},
		{shapeDuration, "999999999d", 0, errRange},
		{shapeBytes, "1024", 1024, nil},
		{shapeBytes, "1KiB", 1024, nil},
		{shapeBytes, "1 kB", 1000, nil},
		{shapeBytes, "2GiB", 2 << 30, nil},
		{shapeBytes, "5B", 5, nil},
		{shapeBytes, "1.5GiB", 0, errForm},
		{shapeBytes, "-1MiB", 0, errForm},
		{shapeBytes, "MiB", 0, errForm},
		{shapeBytes, "99999999TiB", 0, errRange},
		{shapeInteger, "9223372036854775807", math.MaxInt64, nil},
		{shapeInteger, "9223372036854775808", 0, errRange},
	}
	for _, tc := range cases {
		if got, err := parseWhole(tc.shape, tc.text); got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%q: got %d, %v, want %d, %v", tc.text, got, err, tc.want, tc.err)
		}
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"port", "engine", "journal", "storage"}
	for word, want := range map[string]string{"prot": "port", "engin": "engine", "jurnal": "journal", "storrage": "storage", "xyz": "", "p": "", "": ""} {
		if got := nearest(word, keys); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
