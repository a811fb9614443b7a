package market

// Header is what every record carries.
type Header struct {
	// Instrument is never nil in a record that leaves a decoder.
	Instrument *Instrument
	// TS is the record's time in the store, Unix ns: open time for a candle,
	// from-time for a gap, else the exchange's event time, and the receive time
	// where there is none. [Stamp] fixes it once.
	TS int64
	// ExchangeTime is the exchange's event time, Unix ns; 0 when not given.
	ExchangeTime int64
	// ReceiveTime is when the frame had been read from the socket, Unix ns.
	ReceiveTime int64
	// Seq and PrevSeq are the exchange's own sequence numbers.
	Seq, PrevSeq OptInt
	// Epoch is the number of the ownership under which the record was received;
	// 0 outside the live service.
	Epoch int64
	// Conn counts the connections within the epoch, or is the capture's number; 0
	// for REST.
	Conn   int64
	Origin Origin
	Flags  Flags
}

// Head gives access to the header of any record.
func (h *Header) Head() *Header { return h }

// Field describes one field of the JSON form and its column in a store.
type Field struct {
	// Name is the key in the JSON form; "" for a field that JSON leaves out.
	Name string
	// Column is the column's name in every store.
	Column string

	key string // Name as JSON writes it
}

func field(name string) *Field { return fieldIn(name, name) }

// fieldIn is a field whose column has another name.
func fieldIn(name, column string) *Field {
	return &Field{Name: name, Column: column, key: jsonKey(name)}
}

// The common fields. Exported for those that build a schema or a key by hand.
var (
	FieldTS           = &Field{Column: "ts"}
	FieldInstrument   = field("exchange")
	FieldExchangeTime = field("exchange_time_ns")
	FieldReceiveTime  = field("receive_time_ns")
	FieldSeq          = field("seq")
	FieldPrevSeq      = field("prev_seq")
	FieldConn         = field("conn")
	FieldEpoch        = field("epoch")
	FieldOrigin       = field("origin")
	FieldFlags        = field("flags")
)

func (h *Header) fields(v Visitor) {
	v.Time(FieldTS, &h.TS)
	v.Instrument(&h.Instrument)
	v.Time(FieldExchangeTime, &h.ExchangeTime)
	v.Time(FieldReceiveTime, &h.ReceiveTime)
	v.Int(FieldSeq, &h.Seq)
	v.Int(FieldPrevSeq, &h.PrevSeq)
	v.Count(FieldConn, &h.Conn)
	v.Count(FieldEpoch, &h.Epoch)
	v.Enum(FieldOrigin, &h.Origin)
	v.Flags(&h.Flags)
}

// Stamp fixes the record's time in the store, and whether it has an identity
// beyond its connection. The stream step calls it once; it may be called again
// without harm.
func Stamp(r Record) {
	h := r.Head()
	h.TS = r.eventTime()
	if h.TS == 0 {
		h.TS = h.ReceiveTime
		h.Flags |= FlagUnkeyed
	}
}
