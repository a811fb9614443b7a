package market

// Visitor meets the fields of a record in the order of the JSON form, common
// fields first. It is given pointers, so that one function per kind serves
// writing (read what they point at) and reading (fill it in).
type Visitor interface {
	// Instrument meets exchange, market, symbol and native symbol.
	Instrument(v **Instrument)
	// Time is Unix ns; 0 is absent.
	Time(f *Field, v *int64)
	// Count is a number of ours; 0 is absent.
	Count(f *Field, v *int64)
	// Int is a number of the exchange's; it says itself whether it is absent.
	Int(f *Field, v *OptInt)
	Decimal(f *Field, v *Decimal)
	ID(f *Field, v *ID)
	// Word is text out of a small set ("1m", "live"); "" is absent.
	Word(f *Field, v *string)
	Enum(f *Field, v Enum)
	Bool(f *Field, v *bool)
	// Levels are best first.
	Levels(f *Field, v *[]Level)
	Flags(v *Flags)
}

// Visit shows v every field of r, the common ones first.
func Visit(r Record, v Visitor) {
	r.Head().fields(v)
	r.Fields(v)
}

// Record is one record of market data. The kinds of this package are the only
// implementations.
type Record interface {
	// Kind may be called on a nil pointer.
	Kind() Kind
	Head() *Header
	// Fields visits what the kind adds to the common fields.
	Fields(v Visitor)
	// eventTime is the time that [Stamp] makes the record's time; 0 when the
	// exchange gave none.
	eventTime() int64
}

// Level is one price of a book. In a change, amount 0 deletes it.
type Level struct {
	Price, Amount Decimal
}
