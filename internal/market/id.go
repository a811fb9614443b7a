package market

import "strconv"

// ID is an exchange's identifier of a trade or liquidation: a number on most
// exchanges, text (a UUID) on some. The zero ID is absent.
type ID struct {
	text string
	num  int64
	set  bool
}

// NumID is a numeric identifier.
func NumID(n int64) ID { return ID{num: n, set: true} }

// TextID is an identifier from its text; text that is a plain non-negative
// number without leading zeros becomes a numeric one. Empty text is absent.
func TextID(s string) ID {
	if s == "" {
		return ID{}
	}
	// Text is told apart before ParseInt, whose error would allocate.
	if len(s) <= 19 && onlyDigits(s) && (s[0] != '0' || len(s) == 1) {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return NumID(n)
		}
	}
	return ID{text: s, set: true}
}

// IsSet reports whether there is an identifier.
func (id ID) IsSet() bool { return id.set }

// Num returns the number; ok is false for text and for an absent ID.
func (id ID) Num() (n int64, ok bool) { return id.num, id.set && id.text == "" }

// AppendText appends the identifier as the exchange wrote it.
func (id ID) AppendText(dst []byte) []byte {
	if !id.set {
		return dst
	}
	if id.text != "" {
		return append(dst, id.text...)
	}
	return appendInt(dst, id.num)
}

// String is the identifier as the exchange wrote it, "" when absent.
func (id ID) String() string {
	if id.text != "" {
		return id.text
	}
	return string(id.AppendText(nil))
}

// Cmp orders absent, then numbers by value, then text by bytes.
func (id ID) Cmp(o ID) int {
	a, b := id.rank(), o.rank()
	switch {
	case a != b:
		return a - b
	case id.num < o.num || id.text < o.text:
		return -1
	case id.num > o.num || id.text > o.text:
		return 1
	}
	return 0
}

func (id ID) rank() int {
	switch {
	case !id.set:
		return 0
	case id.text == "":
		return 1
	}
	return 2
}
