package market

// Continuity is what a sequence rule says of a change of a book.
type Continuity uint8

// The verdicts.
const (
	// Next: the change follows; apply it.
	Next Continuity = iota
	// Old: its effect is contained already; drop it.
	Old
	// Hole: something between is missing.
	Hole
)

// String is the verdict's word.
func (c Continuity) String() string {
	switch c {
	case Next:
		return "next"
	case Old:
		return "old"
	case Hole:
		return "hole"
	}
	return "invalid"
}
