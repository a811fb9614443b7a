package sse

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReader(t *testing.T) {
	r := NewReader(strings.NewReader(": hello\n\nid: 7\nevent: diff\ndata: {\"a\": 1}\n\nevent: none\n\ndata:bare\r\ndata: two\r\n\r\nevent: cut\ndata: off\n"))
	lines := 0
	for i, want := range [][2]string{{"diff", `{"a": 1}`}, {"", "bare\ntwo"}} {
		name, data, err := r.Next(func() { lines++ })
		if err != nil || name != want[0] || string(data) != want[1] {
			t.Errorf("%d: %q %q %v, want %q", i, name, data, err, want)
		}
		if r.Waiting() {
			t.Errorf("%d: more has come", i)
		}
	}
	if _, _, err := r.Next(nil); !errors.Is(err, io.EOF) || lines != 11 || !r.Waiting() {
		t.Errorf("at the end: %v, %d lines", err, lines)
	}

	// An event that has come whole is there before the next one does.
	body, server := io.Pipe()
	go func() { _, _ = server.Write([]byte("data: 1\n\n")) }()
	r = NewReader(body)
	if _, data, err := r.Next(nil); err != nil || string(data) != "1" || !r.Waiting() {
		t.Errorf("%q %v, waiting %v", data, err, r.Waiting())
	}
}
