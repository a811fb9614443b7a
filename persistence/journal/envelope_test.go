package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var someIncarnation = newIncarnation(time.Unix(1_700_000_000, 0))

// sealed returns one message in memory of its own.
func sealed(t testing.TB, n uint64, payload []byte) []byte {
	t.Helper()
	s, err := newSealer()
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.seal(someIncarnation, n, 7, payload, MaxMessage)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(m)
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

func TestEnvelopeRoundTrip(t *testing.T) {
	cases := map[string][]byte{
		"empty":          {},
		"one byte":       {0},
		"below limit":    []byte(strings.Repeat("a", compressFrom-1)),
		"compressible":   []byte(strings.Repeat("abcdef", 10_000)),
		"incompressible": noise(100_000),
		"large":          bytes.Repeat([]byte("0123456789"), 1_000_000),
	}
	s, err := newSealer()
	if err != nil {
		t.Fatal(err)
	}
	o, err := newOpener()
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	for name, payload := range cases {
		t.Run(name, func(t *testing.T) {
			m, err := s.seal(someIncarnation, 9, 3, payload, MaxMessage)
			if err != nil {
				t.Fatal(err)
			}
			if len(m) > HeaderSize+len(payload) {
				t.Errorf("message has %d bytes for a payload of %d", len(m), len(payload))
			}
			e, err := parseEnvelope(m)
			if err != nil {
				t.Fatal(err)
			}
			if e.incarnation != someIncarnation || e.n != 9 || e.rows != 3 {
				t.Errorf("header came back as %+v", e)
			}
			got, err := o.open(&e)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, payload) {
				t.Errorf("payload of %d bytes came back as %d others", len(payload), len(got))
			}
		})
	}
}

func TestEnvelopeEveryBitCounts(t *testing.T) {
	good := sealed(t, 1, []byte(strings.Repeat("abc", 100)))
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			_, err := parseEnvelope(bad)
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
		}
	}
	for n := range good {
		if _, err := parseEnvelope(good[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestEnvelopeRefuses(t *testing.T) {
	// rewrite changes a good message and gives it a right checksum.
	rewrite := func(change func(m []byte)) []byte {
		m := sealed(t, 1, []byte(strings.Repeat("abc", 100)))
		change(m)
		binary.LittleEndian.PutUint32(m[44:], checksum(m))
		return m
	}
	cases := []struct {
		name string
		m    []byte
		want error
	}{
		{"version", rewrite(func(m []byte) { m[4] = 2 }), ErrVersion},
		{"compression", rewrite(func(m []byte) { m[6] = 2 }), ErrVersion},
		{"flags", rewrite(func(m []byte) { m[7] = 1 }), ErrVersion},
		{"number zero", rewrite(func(m []byte) { clear(m[24:32]) }), ErrCorrupt},
		{"stored length", rewrite(func(m []byte) { m[40]++ }), ErrCorrupt},
		{"raw length beyond the limit", rewrite(func(m []byte) { m[39] = 0xff }), ErrCorrupt},
		{"raw length of a plain payload", rewrite(func(m []byte) { m[6] = 0 }), ErrCorrupt},
	}
	for _, c := range cases {
		if _, err := parseEnvelope(c.m); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	o, err := newOpener()
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	for name, m := range map[string][]byte{
		"raw length too small": rewrite(func(m []byte) { m[36]-- }),
		"raw length too large": rewrite(func(m []byte) { m[36]++ }),
		"not zstd":             rewrite(func(m []byte) { clear(m[HeaderSize:]) }),
	} {
		e, err := parseEnvelope(m)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := o.open(&e); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSealRefusesTooLarge(t *testing.T) {
	s, err := newSealer()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.seal(someIncarnation, 1, 1, noise(MaxMessage), MaxMessage); !errors.Is(err, ErrTooLarge) {
		t.Errorf("incompressible: %v", err)
	}
	if _, err := s.seal(someIncarnation, 1, 1, make([]byte, MaxRaw+1), MaxMessage); !errors.Is(err, ErrTooLarge) {
		t.Errorf("beyond MaxRaw: %v", err)
	}
	if m, err := s.seal(someIncarnation, 1, 1, make([]byte, MaxRaw), MaxMessage); err != nil || len(m) > 1<<20 {
		t.Errorf("MaxRaw zeros: %d bytes, %v", len(m), err)
	}
}

func TestIncarnationsDiffer(t *testing.T) {
	now := time.Unix(1, 0)
	if one, other := newIncarnation(now), newIncarnation(now); one == other {
		t.Error("two incarnations of one instant are equal")
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add(sealed(f, 1, []byte("x")), false)
	f.Add(sealed(f, 2, []byte(strings.Repeat("abcdef", 1000))), false)
	f.Add([]byte(magic), false)
	o, err := newOpener()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, m []byte, right bool) {
		m = bytes.Clone(m)
		if right && len(m) >= HeaderSize { // reach the code behind the checksum
			copy(m, magic)
			binary.LittleEndian.PutUint16(m[4:], FormatVersion)
			m[7], m[6] = 0, m[6]&1
			m[38], m[39] = m[38]&0x3f, 0
			binary.LittleEndian.PutUint32(m[40:], uint32(len(m)-HeaderSize))
			binary.LittleEndian.PutUint32(m[44:], checksum(m))
		}
		e, err := parseEnvelope(m)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		raw, err := o.open(&e)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("untyped error %v", err)
		}
		if err == nil && len(raw) != int(e.rawLen) {
			t.Fatalf("%d bytes, header says %d", len(raw), e.rawLen)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for name, payload := range map[string][]byte{"noise": noise(1 << 20), "text": bytes.Repeat([]byte("0123456789abcdef"), 1<<16)} {
		b.Run(name, func(b *testing.B) {
			s, err := newSealer()
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.seal(someIncarnation, 1, 1, payload, MaxMessage); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
