package chassis_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
)

type price string

func (p *price) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "bad" {
		return errors.New("not a decimal")
	}
	*p = price(s)
	return nil
}

type base struct {
	Source string `json:"source"`
}

type task struct {
	base
	Name    string            `json:"name" required:"true" minLength:"1" maxLength:"8"`
	Mode    string            `json:"mode" enum:"skip,queue"`
	Hours   int               `json:"hours" minimum:"1" maximum:"100"`
	Ratio   float64           `json:"ratio"`
	Small   int8              `json:"small"`
	Count   uint16            `json:"count"`
	On      bool              `json:"on"`
	Price   price             `json:"price"`
	Levels  [][2]price        `json:"levels"`
	At      time.Time         `json:"at"`
	Tags    []string          `json:"tags" maxLength:"2"`
	Labels  map[string]int    `json:"labels"`
	Payload any               `json:"payload"`
	Raw     json.RawMessage   `json:"raw"`
	Number  json.Number       `json:"number"`
	Inner   *task             `json:"inner"`
	Skipped string            `json:"-"`
	Extra   map[string]string `json:"extra"`
}

func TestDecodeJSON(t *testing.T) {
	const body = `{"source":"a\u00e9\ud83d\ude00\n","name":"n","mode":"skip","hours":24.0,"ratio":1e-3,"small":-128,"count":65535,"on":true,
		"price":1.50,"levels":[["1","2"],[3,4]],"at":"2024-01-01 10:00:00","tags":["x"],"labels":{"a":1},
		"payload":{"k":[1,"s",null,true,12345678901234567890123]},"raw": {"keep" : 1},"number":123456789012345678901234567890.5,
		"inner":{"name":"m","at":1704103200123},"extra":null}`
	var got task
	if err := chassis.DecodeJSON([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := task{
		base: base{"aé😀\n"}, Name: "n", Mode: "skip", Hours: 24, Ratio: 1e-3, Small: -128, Count: 65535, On: true,
		Price: "1.50", Levels: [][2]price{{"1", "2"}, {"3", "4"}}, At: time.Date(2024, 1, 1, 10, 0, 0, 0, time.UTC),
		Tags: []string{"x"}, Labels: map[string]int{"a": 1},
		Payload: map[string]any{"k": []any{json.Number("1"), "s", nil, true, json.Number("12345678901234567890123")}},
		Raw:     json.RawMessage(`{"keep" : 1}`), Number: "123456789012345678901234567890.5",
		Inner: &task{Name: "m", At: time.UnixMilli(1704103200123).UTC()},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeJSONRefuses(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	many := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"labels":{`)
		for i := range n {
			fmt.Fprintf(&b, `"k%d":1,`, i)
		}
		return b.String()
	}
	tests := []struct {
		name, body string
		status     int
		pointers   string // of the refused fields, joined
		says       string
	}{
		{"nothing", ``, 400, "", "empty"},
		{"space", " \n", 400, "", "empty"},
		{"cut", `{"name":`, 400, "", "byte 8"},
		{"NaN", `{"name":"n","ratio":NaN}`, 400, "", "byte 20"},
		{"infinity", `{"name":"n","ratio":-Infinity}`, 400, "", "byte 21"},
		{"trailing", `{"name":"n"} x`, 400, "", "byte 13"},
		{"two values", `{"name":"n"}{"name":"n"}`, 400, "", "byte 12"},
		{"leading zero", `{"hours":012}`, 400, "", "byte 10"},
		{"bare dot", `{"ratio":1.}`, 400, "", "byte 11"},
		{"single quotes", `{'name':1}`, 400, "", "byte 1"},
		{"comment", `{/**/"name":"n"}`, 400, "", "byte 1"},
		{"trailing comma", `{"name":"n",}`, 400, "", "byte 12"},
		{"duplicate", `{"name":"n","name":"m"}`, 400, "", `"name" stands twice`},
		{"duplicate escaped", `{"name":"n","nam\u0065":"m"}`, 400, "", "twice"},
		{"duplicate in a skipped value", `{"name":"n","raw":{"a":1,"a":2}}`, 400, "", "twice"},
		{"duplicate of many", many(20) + `"k3":2}}`, 400, "", "twice"},
		{"invalid UTF-8", "{\"name\":\"\xff\"}", 400, "", "invalid UTF-8"},
		{"invalid UTF-8 outside a string", "{\xff}", 400, "", "invalid UTF-8"},
		{"overlong UTF-8", "{\"name\":\"\xc0\xaf\"}", 400, "", "invalid UTF-8"},
		{"lone surrogate", `{"name":"\ud800"}`, 400, "", "surrogate"},
		{"swapped surrogates", `{"name":"\ude00\ud83d"}`, 400, "", "surrogate"},
		{"control in string", "{\"name\":\"a\x00b\"}", 400, "", "control"},
		{"BOM", "\ufeff{}", 400, "", "byte 0"},
		{"deep arrays", deep, 400, "", "nested deeper than 64"},
		{"deep objects", strings.Repeat(`{"inner":`, 100_000), 400, "", "nested deeper"},
		{"deep unknown", `{"payload":` + deep, 400, "", "nested deeper"},
		{"wrong root", `[]`, 422, "", "must be an object, is an array"},
		{"missing", `{}`, 422, "/name", "required"},
		{"null is missing", `{"name":null}`, 422, "/name", "required"},
		{"unknown", `{"name":"n","naam":1}`, 422, "/naam", "known are source, name"},
		{"case matters", `{"name":"n","Hours":1}`, 422, "/Hours", "known member"},
		{"types", `{"name":1,"hours":"1","on":"true","tags":{},"labels":[],"price":"bad"}`, 422,
			"/name /hours /on /tags /labels /price", "must be a string, is a number"},
		{"ranges", `{"name":"n","hours":101,"small":128,"count":-1,"ratio":1e999,"mode":"x"}`, 422,
			"/hours /small /count /ratio /mode", "at most 100"},
		{"fraction", `{"name":"n","hours":1.5}`, 422, "/hours", "whole number"},
		{"huge", `{"name":"n","hours":123456789012345678901234567890}`, 422, "/hours", "whole number"},
		{"lengths", `{"name":"too long to","tags":["a","b","c"]}`, 422, "/name /tags", "at most 8 characters"},
		{"deep pointer", `{"name":"n","levels":[["1","2"],["3","bad"]],"labels":{"a/b~c":"x"}}`, 422, "/levels/1/1 /labels/a~1b~0c", "not valid"},
		{"array length", `{"name":"n","levels":[["1"],["1","2","3"]]}`, 422, "/levels/0 /levels/1", "must have 2 elements"},
		{"nested", `{"name":"n","inner":{"hours":0}}`, 422, "/inner/hours /inner/name", "at least 1"},
		{"time far ahead", `{"name":"n","at":"2345-01-01T00:00:00Z"}`, 422, "/at", "2009"},
		{"time of a kind", `{"name":"n","at":true}`, 422, "/at", "must be a time"},
		{"huge exponent", `{"name":"n","at":1e99999999}`, 422, "/at", "must be a time"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var into task
			err := chassis.DecodeJSON([]byte(test.body), &into)
			var e *chassis.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			var pointers []string
			for _, f := range e.Fields() {
				pointers = append(pointers, f.Pointer)
			}
			if e.HTTPStatus() != test.status || strings.Join(pointers, " ") != test.pointers || !strings.Contains(e.Error(), test.says) {
				t.Errorf("got %d %v %q", e.HTTPStatus(), pointers, e)
			}
		})
	}
}

func TestDecodeRules(t *testing.T) {
	var into task
	if err := chassis.DecodeJSON([]byte(" "), &into, chassis.Empty); err != nil {
		t.Error(err)
	}
	if err := chassis.DecodeJSON([]byte(`{"name":"n","more":{"a":[1]}}`), &into, chassis.Unknown); err != nil || into.Name != "n" {
		t.Errorf("%v %+v", err, into)
	}
}

// The strict scanner accepts nothing that encoding/json refuses, and what it
// accepts decodes to the same.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e-3,"x\u00e9",null,true]}`, `[]`, `"\ud83d\ude00"`, `-0`, `{"a":1,"a":2}`, "\xff", `[[[]]]`, `{"":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := chassis.CheckJSON(data)
		if err == nil && !json.Valid(data) {
			t.Fatalf("accepted %q", data)
		}
		var ours, theirs any
		decodeErr := chassis.DecodeJSON(data, &ours)
		if (err == nil) != (decodeErr == nil) {
			t.Fatalf("%q: check %v, decode %v", data, err, decodeErr)
		}
		if err != nil {
			var known *chassis.Error
			if !errors.As(err, &known) || known.HTTPStatus() != 400 {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(&theirs); err != nil || !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("%q: got %v want %v (%v)", data, ours, theirs, err)
		}
		var into task
		if err := chassis.DecodeJSON(data, &into, chassis.Unknown); err != nil {
			var known *chassis.Error
			if !errors.As(err, &known) || known.HTTPStatus() != 422 {
				t.Fatalf("%q: %v", data, err)
			}
		}
	})
}

func TestParseTime(t *testing.T) {
	noon := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	good := map[string]time.Time{
		"2024-02-29T12:00:00Z":           noon,
		"2024-02-29t12:00:00z":           noon,
		"2024-02-29T20:00:00+08:00":      noon,
		"2024-02-29T20:00:00+0800":       noon,
		"2024-02-29T12:00:00":            noon,
		"2024-02-29 12:00:00":            noon,
		"2024-02-29T12:00":               noon,
		"2024-02-29":                     noon.Add(-12 * time.Hour),
		"2024-02-29T12:00:00.123456789Z": noon.Add(123456789),
		"2024-02-29T12:00:00.000001":     noon.Add(time.Microsecond),
		"1709208000":                     noon,
		"1709208000.25":                  noon.Add(250 * time.Millisecond),
		"1709208000123":                  noon.Add(123 * time.Millisecond),
		"1709208000123456":               noon.Add(123456 * time.Microsecond),
		"1709208000123456789":            noon.Add(123456789),
		"1.709208e9":                     noon,
		"1.709208e+18":                   noon,
		"1230768000":                     time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC),
		"2100-12-31T23:59:59.999999999Z": time.Date(2100, 12, 31, 23, 59, 59, 999999999, time.UTC),
		"4133980799999999999":            time.Date(2100, 12, 31, 23, 59, 59, 999999999, time.UTC),
	}
	for in, want := range good {
		got, err := chassis.ParseTime(in)
		if err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: got %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "now", "NaN", "Infinity", "0", "-1", "1230767999", "4133980800000000000", "2008-12-31", "2101-01-01",
		"2024-13-01", "2024-02-30", "1e999", "1e99999999", "0x65e0a0c0", "1/2", "1_709_208_000", "1709208000.", "'; DROP", "2024-02-29T12:00:00 +08:00",
		strings.Repeat("1", 100), "12:00:00"} {
		if got, err := chassis.ParseTime(in); err == nil && in != "1709208000." {
			t.Errorf("%q: accepted as %v", in, got)
		}
	}
}

func TestQuery(t *testing.T) {
	var page struct {
		Seq int64 `json:"seq"`
	}
	cursor, err := chassis.EncodeCursor("trades/binance", map[string]int64{"seq": 42})
	if err != nil {
		t.Fatal(err)
	}
	q := chassis.QueryOf(httptest.NewRequest("GET", "/?limit=50&from=2024-01-01&to=2024-01-02T00:00:00+08:00&kind=trade&side=buy&on=1&x=1.5&ids=a,,b&cursor="+cursor, nil))
	from, to := q.Range("from", "to")
	if q.Limit(100, 1000) != 50 || from.IsZero() || to.Sub(from) != 16*time.Hour || q.Text("kind", "") != "trade" ||
		q.OneOf("side", "", "buy", "sell") != "buy" || !q.Bool("on", false) || q.Float("x", 0, 0, 2) != 1.5 ||
		!reflect.DeepEqual(q.List("ids"), []string{"a", "b"}) || !q.Cursor("trades/binance", &page) || page.Seq != 42 {
		t.Errorf("misread: %+v %v", page, q.Err())
	}
	if q.Int("absent", 7, 1, 9) != 7 || q.List("none") == nil || !q.Time("none").IsZero() || q.Cursor("x", &page) {
		t.Error("absence misread")
	}
	bad := map[string]func(*chassis.Query){
		"limit=0":                       func(q *chassis.Query) { q.Limit(1, 10) },
		"limit=11":                      func(q *chassis.Query) { q.Limit(1, 10) },
		"limit=1e3":                     func(q *chassis.Query) { q.Limit(1, 10) },
		"limit=99999999999999999999":    func(q *chassis.Query) { q.Limit(1, 10) },
		"limit=1&limit=2":               func(q *chassis.Query) { q.Limit(1, 10) },
		"limit=%00":                     func(q *chassis.Query) { q.Limit(1, 10) },
		"x=NaN":                         func(q *chassis.Query) { q.Float("x", 0, 0, 1) },
		"x=Inf":                         func(q *chassis.Query) { q.Float("x", 0, 0, 1) },
		"on=maybe":                      func(q *chassis.Query) { q.Bool("on", false) },
		"side=hold":                     func(q *chassis.Query) { q.OneOf("side", "", "buy") },
		"at=yesterday":                  func(q *chassis.Query) { q.Time("at") },
		"from=2024-01-02&to=2024-01-01": func(q *chassis.Query) { q.Range("from", "to") },
		"s=%ff":                         func(q *chassis.Query) { q.Text("s", "") },
		"s=" + strings.Repeat("x", 300): func(q *chassis.Query) { q.Text("s", "") },
		"cursor=AAAA":                   func(q *chassis.Query) { q.Cursor("a", &page) },
		"cursor=!":                      func(q *chassis.Query) { q.Cursor("a", &page) },
		"cursor=" + cursor:              func(q *chassis.Query) { q.Cursor("trades/okx", &page) },
	}
	for query, read := range bad {
		q := chassis.QueryOf(httptest.NewRequest("GET", "/?"+query, nil))
		read(q)
		var e *chassis.Error
		name, _, _ := strings.Cut(query, "=")
		if !errors.As(q.Err(), &e) || e.HTTPStatus() != 422 || e.Fields()[0].In != "query" ||
			e.Fields()[0].Pointer != "/"+name && e.Fields()[0].Pointer != "/to" {
			t.Errorf("%s: %v", query, q.Err())
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.URL.RawQuery = "a=%zz"
	var e *chassis.Error
	if err := chassis.QueryOf(r).Err(); !errors.As(err, &e) || e.HTTPStatus() != 400 {
		t.Errorf("malformed query: %v", err)
	}
}

func TestPathParam(t *testing.T) {
	h := start(t, nil, get("/s/{symbol}", func(w http.ResponseWriter, r *http.Request) error {
		s, err := chassis.PathParam(r, "symbol")
		if err != nil {
			return err
		}
		return chassis.WriteJSON(w, r, 200, s)
	}))
	for path, want := range map[string]string{
		"BTC-USDT": "BTC-USDT", "BTC%2FUSDT": "BTC/USDT", "%E6%AF%94": "比", "a%20b": "a b", "v1.2": "v1.2", "%2525": "%25",
	} {
		if a := h.ask(t, "GET", "/s/"+path, ""); a.status != 200 || a.body != `"`+want+"\"\n" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for path, want := range map[string]int{
		"..": 404, "%2e%2e": 404, "%2e%2e%2fetc": 404, "..%5c..": 404, "a%2F..%2Fb": 404, "%00": 400, "a%0Ab": 400, "%ff": 400,
		strings.Repeat("x", 129): 400, strings.Repeat("x", 3000): 414, "a/b": 404, "": 404,
	} {
		if a := h.ask(t, "GET", "/s/"+path, ""); a.status != want {
			t.Errorf("%.40s: %d want %d: %s", path, a.status, want, a.body)
		} else {
			a.problem(t)
		}
	}
}

func TestBodyRules(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) error {
		var v any
		if err := chassis.Decode(r, &v, chassis.Empty); err != nil {
			return err
		}
		return chassis.WriteJSON(w, r, 200, v)
	}
	small := post("/small", map[string]any{}, echo)
	small.BodyLimit = 16
	h := start(t, nil, post("/json", map[string]any{}, echo), small,
		post("/run", nil, func(w http.ResponseWriter, r *http.Request) error { return chassis.WriteJSON(w, r, 200, "ran") }))
	tests := []struct {
		path, body, contentType string
		status                  int
	}{
		{"/json", `{"a":1}`, "application/json", 200},
		{"/json", `{"a":1}`, "application/json; charset=utf-8", 200},
		{"/json", `{"a":1}`, "application/vnd.x+json", 200},
		{"/json", `{"a":1}`, "", 200},
		{"/json", "", "application/octet-stream", 200},
		{"/json", `{"a":1}`, "application/octet-stream", 415},
		{"/json", `{"a":1}`, "text/plain", 415},
		{"/json", `a=1`, "application/x-www-form-urlencoded", 415},
		{"/json", `{"a":`, "application/x-www-form-urlencoded", 415},
		{"/json", `{"a":1}`, "application/x-www-form-urlencoded", 200},
		{"/json", ` {"a":1} `, "application/x-www-form-urlencoded; charset=UTF-8", 200},
		{"/small", `{"a":12345678901}`, "application/x-www-form-urlencoded", 413},
		{"/json", `{"a":1}`, "application/json; charset=utf-16", 415},
		{"/json", `{"a":1}`, ";;", 415},
		{"/run", `anything`, "text/plain", 200},
		{"/run", ``, "application/octet-stream", 200},
		{"/small", `{"a":1234567890}`, "application/json", 200},
		{"/small", `{"a":12345678901}`, "application/json", 413},
	}
	for _, test := range tests {
		a := h.ask(t, "POST", test.path, test.body, "Content-Type", test.contentType)
		if a.status != test.status {
			t.Errorf("%s %q as %q: %d want %d: %s", test.path, test.body, test.contentType, a.status, test.status, a.body)
		}
		if a.status >= 400 {
			a.problem(t)
		}
	}
	if a := h.ask(t, "POST", "/json", `{}`, "Content-Type", "application/json", "Content-Encoding", "gzip"); a.status != 415 {
		t.Errorf("coded: %d", a.status)
	}
	// The same by chunks, where no length is declared.
	for body, want := range map[string]int{"": 200, `{"a":1}`: 415} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", h.URL()+"/json", struct{ io.Reader }{strings.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/octet-stream")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("chunked %q: %d want %d", body, resp.StatusCode, want)
		}
	}
}

// A body that is too large is refused in words, whether the client says how
// long it is or not, and although it goes on sending.
func TestHugeBodyIsRefusedInWords(t *testing.T) {
	h := start(t, nil, post("/json", map[string]any{}, func(w http.ResponseWriter, r *http.Request) error {
		var v any
		return chassis.Decode(r, &v)
	}))
	const size = 100 << 20
	for _, declared := range []bool{true, false} {
		body := io.LimitReader(spaces{}, size)
		req, err := http.NewRequestWithContext(t.Context(), "POST", h.URL()+"/json", struct{ io.Reader }{body})
		if err != nil {
			t.Fatal(err)
		}
		if declared {
			req.ContentLength = size
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("declared %v: %v", declared, err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 413 || !strings.Contains(string(text), `"code":"too_large"`) {
			t.Errorf("declared %v: %d %s %v", declared, resp.StatusCode, text, err)
		}
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// A client that stops in the middle of its body gets 408, also where the
// handler has not looked at the body at all.
func TestSlowBody(t *testing.T) {
	h := start(t, func(o *chassis.Options) { o.Config.BodyIdleTimeout = 50 * time.Millisecond },
		post("/json", map[string]any{}, func(w http.ResponseWriter, r *http.Request) error {
			var v any
			return chassis.Decode(r, &v)
		}))
	for _, test := range []struct{ header, status string }{
		{"Content-Type: application/json\r\nContent-Length: 10", "408"},
		{"Content-Type: application/json\r\nTransfer-Encoding: chunked", "408"},
		{"Content-Type: text/plain\r\nContent-Length: 10", "415"},
	} {
		conn, err := net.Dial("tcp", h.Addr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /json HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", test.header)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		text, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 "+test.status) {
			t.Errorf("%s: %v %.100s", test.header, err, text)
		}
	}
}

func TestRecords(t *testing.T) {
	type row struct {
		N int `json:"n" required:"true"`
	}
	route := post("/rows", row{}, func(w http.ResponseWriter, r *http.Request) error {
		records, err := chassis.ReadRecords(r, 64)
		if err != nil {
			return err
		}
		got := []int{}
		for {
			record, err := records.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			var one row
			if err := records.DecodeRecord(record, &one); err != nil {
				return err
			}
			got = append(got, one.N)
		}
		return chassis.WriteJSON(w, r, 200, map[string]any{"form": records.Form().String(), "got": got})
	})
	route.Accepts = chassis.MediaRecords()
	h := start(t, nil, route)
	const nd = chassis.MediaNDJSON
	tests := []struct {
		name, media, body, want string
		status                  int
	}{
		{"one", "", `{"n":1}`, `{"form":"single","got":[1]}`, 200},
		{"array", "application/json", ` [{"n":1} , {"n":2}] `, `{"form":"array","got":[1,2]}`, 200},
		{"no rows", "", `[]`, `{"form":"array","got":[]}`, 200},
		{"lines", nd, "{\"n\":1}\n\n{\"n\":2}\r\n", `{"form":"lines","got":[1,2]}`, 200},
		{"lines without an end", nd, "{\"n\":1}\n{\"n\":2}", `{"form":"lines","got":[1,2]}`, 200},
		{"no lines", nd, "\n", `{"form":"lines","got":[]}`, 200},
		{"lines as JSON", "application/json", "{\"n\":1}\n{\"n\":2}\n", `{"form":"lines","got":[1,2]}`, 200},
		{"two on one line", "", `{"n":1} {"n":2}`, `byte 8`, 400},
		{"cut array", "", `[{"n":1},`, `byte 9`, 400},
		{"bad row", "", `[{"n":1},{"n":"x"}]`, `"pointer":"/1/n"`, 422},
		{"bad line", nd, "{\"n\":1}\n{\"m\":2}\n", `"pointer":"/1/m"`, 422},
		{"malformed line", nd, "{\"n\":1}\n{\"n\":\n", `"pointer":"/1"`, 400},
		{"long line", nd, `{"n":1}` + "\n" + strings.Repeat(" ", 100) + "\n", `"pointer":"/1"`, 413},
		{"empty", "", ``, `empty`, 400},
	}
	for _, test := range tests {
		a := h.ask(t, "POST", "/rows", test.body, "Content-Type", test.media)
		if a.status != test.status || !strings.Contains(a.body, test.want) {
			t.Errorf("%s: %d %s", test.name, a.status, a.body)
		}
		if a.status != 200 {
			a.problem(t)
		}
	}
}
