package chassistest

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// attack is one hostile input.
type attack struct {
	name string
	text string
	// mustFail: no route may accept it. Otherwise it may be valid for some
	// route, and only 5xx, hanging and shapeless errors are wrong.
	mustFail bool
}

// malformedBodies are no JSON at all, whatever the route reads.
func malformedBodies() []attack {
	const levels = 100_000
	list := []attack{
		{"cut object", `{"symbol":`, true},
		{"cut string", `{"symbol":"BTC`, true},
		{"cut escape", `{"symbol":"\u00`, true},
		{"NaN", `{"price":NaN}`, true},
		{"Infinity", `[-Infinity]`, true},
		{"hexadecimal", `{"price":0x10}`, true},
		{"leading zero", `{"price":007}`, true},
		{"trailing comma", `{"a":1,}`, true},
		{"trailing text", `{"a":1} and more`, true},
		{"single quotes", `{'a':1}`, true},
		{"comment", `{"a":1 /* b */}`, true},
		{"duplicate name", `{"symbol":"a","symbol":"b"}`, true},
		{"invalid UTF-8", "{\"symbol\":\"\xff\xfe\"}", true},
		{"overlong UTF-8", "{\"symbol\":\"\xc0\xae\xc0\xae/\"}", true},
		{"UTF-16", "\xff\xfe{\x00}\x00", true},
		{"byte order mark", "\ufeff{}", true},
		{"lone surrogate", `{"symbol":"\ud800"}`, true},
		{"null byte", "{\"symbol\":\"a\x00b\"}", true},
		{"only null bytes", strings.Repeat("\x00", 64), true},
		{"nested arrays", strings.Repeat("[", levels) + strings.Repeat("]", levels), true},
		{"nested objects", strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels), true},
		{"open arrays", strings.Repeat("[", levels), true},
		{"nested in a member", `{"payload":` + strings.Repeat("[", levels), true},
		{"XML", `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>`, true},
		{"form", `symbol=BTC&price=1`, true},
		{"CSV", "timestamp,symbol\n1,BTC", true},
	}
	return list
}

// wrongBodies are JSON that a route may have no use for.
func wrongBodies() []attack {
	list := []attack{
		{name: "null", text: `null`}, {name: "true", text: `true`}, {name: "zero", text: `0`},
		{name: "string", text: `"x"`}, {name: "empty object", text: `{}`}, {name: "empty array", text: `[]`},
		{name: "array of nulls", text: `[null,null]`}, {name: "array of arrays", text: `[[],[[]]]`},
		{name: "mixed array", text: `[{},1,"a",null]`}, {name: "empty name", text: `{"":""}`},
		{name: "prototype", text: `{"__proto__":{"admin":true},"constructor":{"prototype":1}}`},
		{name: "huge number", text: strings.Repeat("9", 5000)},
		{name: "many members", text: manyMembers(5000)},
		{name: "long name", text: `{"` + strings.Repeat("n", 100_000) + `":1}`},
	}
	return list
}

func manyMembers(n int) string {
	m := make(map[string]int, n)
	for i := range n {
		m[strings.Repeat("k", i%7)+string(rune('a'+i%26))+strings.Repeat("0", i/26)] = i
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and ints
	}
	return string(b)
}

// wrongValues are put in place of each member of a valid body, as JSON.
func wrongValues() []attack {
	list := []attack{
		{name: "null", text: `null`}, {name: "true", text: `true`}, {name: "negative", text: `-1`}, {name: "zero", text: `0`},
		{name: "fraction", text: `0.1`}, {name: "beyond int64", text: `9223372036854775808`},
		{name: "beyond float64", text: `1e999`}, {name: "tiny", text: `1e-999`}, {name: "huge exponent", text: `1e2147483648`},
		{name: "many digits", text: strings.Repeat("1", 2000) + "." + strings.Repeat("2", 2000)},
		{name: "empty text", text: `""`}, {name: "empty object", text: `{}`}, {name: "empty array", text: `[]`},
		{name: "object", text: `{"a":{"b":[]}}`}, {name: "array", text: `[[["a"],null],1]`},
	}
	for _, a := range wrongTexts() {
		quoted, err := json.Marshal(a.text)
		if err != nil {
			panic(err) // a string
		}
		list = append(list, attack{name: a.name, text: string(quoted)})
	}
	return list
}

// wrongTexts are values that other programs have tripped over.
func wrongTexts() []attack {
	return []attack{
		{name: "SQL quote", text: `'; DROP TABLE trades; --`},
		{name: "SQL union", text: `x' UNION SELECT * FROM tables() --`},
		{name: "SQL boolean", text: `" OR "1"="1`},
		{name: "ILP break", text: "BTC,side=buy price=1 1\nevil x=1"},
		{name: "subject wildcard", text: "md.v1.>"},
		{name: "subject star", text: "*.*"},
		{name: "template", text: `{{7*7}}${7*7}<%= 7*7 %>`},
		{name: "lookup", text: `${jndi:ldap://127.0.0.1/a}`},
		{name: "shell", text: "$(id) `id` | id ; id"},
		{name: "climbing", text: "../../../../etc/passwd"},
		{name: "climbing on Windows", text: `..\..\windows\win.ini`},
		{name: "absolute path", text: "/etc/passwd"},
		{name: "URL", text: "http://169.254.169.254/latest/meta-data"},
		{name: "header break", text: "a\r\nX-Injected: 1"},
		{name: "null byte", text: "BTC\x00USDT"},
		{name: "right-to-left", text: "\u202eTDSU-CTB"},
		{name: "combining", text: "B" + strings.Repeat("\u0301", 200)},
		{name: "script", text: `<script>alert(1)</script>`},
		{name: "format verbs", text: "%s%n%x%!d(MISSING)"},
		{name: "NaN", text: "NaN"}, {name: "infinity", text: "-Infinity"}, {name: "hexadecimal", text: "0x7fffffff"},
		{name: "negative", text: "-1"}, {name: "beyond int64", text: "9223372036854775808"},
		{name: "beyond float64", text: "1e999"}, {name: "huge exponent", text: "1e2147483648"},
		{name: "date that is none", text: "2024-02-30T25:61:61Z"}, {name: "year 10000", text: "10000-01-01T00:00:00Z"},
		{name: "long", text: strings.Repeat("A", 5000)},
	}
}

// pathAttacks are path segments, escaped as sent.
func pathAttacks() []attack {
	list := []attack{
		{"climbing", "..", true},
		{"climbing, escaped", "%2e%2e", true},
		{"climbing, escaped slash", "..%2f..%2f..%2fetc%2fpasswd", true},
		{"climbing, backslash", "..%5c..%5cwindows", true},
		{"climbing inside", "a%2f..%2fb", true},
		{"null byte", "BTC%00USDT", true},
		{"line break", "BTC%0d%0aX-Injected:1", true},
		{"delete", "%7f", true},
		{"invalid UTF-8", "%ff%fe", true},
		{"overlong UTF-8", "%c0%ae%c0%ae", true},
		{"very long", strings.Repeat("A", 5000), true},
		{name: "escaped twice", text: "%252e%252e%252f"},
		{name: "empty", text: ""},
		{name: "space", text: "%20"},
		{name: "semicolon", text: "x;y=z"},
		{name: "matrix", text: "%E2%80%AE"},
	}
	for _, a := range wrongTexts() {
		list = append(list, attack{name: a.name, text: url.PathEscape(a.text)})
	}
	return list
}

// mutations are valid bodies with one member replaced, or removed.
func mutations(body string) []attack {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(body), &members) != nil {
		return nil // not an object: nothing to take apart
	}
	var list []attack
	for _, name := range slices.Sorted(maps.Keys(members)) {
		for _, value := range wrongValues() {
			changed := maps.Clone(members)
			changed[name] = json.RawMessage(value.text)
			list = append(list, attack{name: name + " = " + value.name, text: render(changed)})
		}
		without := maps.Clone(members)
		delete(without, name)
		list = append(list, attack{name: "without " + name, text: render(without)})
	}
	return list
}

func render(members map[string]json.RawMessage) string {
	b, err := json.Marshal(members)
	if err != nil {
		panic(err) // valid JSON texts
	}
	return string(b)
}
