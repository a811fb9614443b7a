package storage

import (
	"net/http"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
)

// rowWriter writes records in the form of hot/*: the names that clients POST
// first, further fields after. It belongs to one request.
type rowWriter struct {
	asked   []byte // ,"symbol":…,"exchange":… as the request spells them
	strings bool   // decimals as text
	second  int64  // Unix s that stamp is of
	stamp   []byte // its date and time, up to the second
}

// newRowWriter reads ?decimals=.
func newRowWriter(a facade.Asked, q *chassis.Query) *rowWriter {
	w := &rowWriter{second: -1, strings: q.OneOf("decimals", "number", "number", "string") == "string"}
	w.asked = market.AppendJSONString(append(w.asked, `,"symbol":`...), a.Symbol)
	w.asked = market.AppendJSONString(append(w.asked, `,"exchange":`...), a.Exchange)
	return w
}

// begin opens a row with its time and names.
func (w *rowWriter) begin(dst []byte, h *market.Header) []byte {
	dst = append(dst, `{"timestamp":"`...)
	dst = w.appendTime(dst, h.TS)
	dst = append(dst, '"')
	return append(dst, w.asked...)
}

// appendTime writes Unix ns as RFC 3339 in UTC with as many digits as needed.
func (w *rowWriter) appendTime(dst []byte, ns int64) []byte {
	second, fraction := ns/1e9, ns%1e9
	if fraction < 0 {
		second, fraction = second-1, fraction+1e9
	}
	if second != w.second {
		w.second = second
		w.stamp = time.Unix(second, 0).UTC().AppendFormat(w.stamp[:0], "2006-01-02T15:04:05")
	}
	dst = append(dst, w.stamp...)
	if fraction > 0 {
		var digits [10]byte
		for i := 9; i > 0; i-- {
			digits[i] = byte('0' + fraction%10)
			fraction /= 10
		}
		digits[0] = '.'
		n := len(digits)
		for digits[n-1] == '0' {
			n--
		}
		dst = append(dst, digits[:n]...)
	}
	return append(dst, 'Z')
}

// end closes a row with the further common fields.
func (w *rowWriter) end(dst []byte, h *market.Header) []byte {
	if i := h.Instrument; i != nil {
		dst = append(dst, `,"market":"`...)
		dst = append(dst, i.Market.String()...)
		dst = append(dst, '"')
		dst = appendText(dst, `,"native_symbol":`, i.Native)
	}
	dst = appendInt(dst, `,"exchange_time_ns":`, h.ExchangeTime)
	dst = appendInt(dst, `,"receive_time_ns":`, h.ReceiveTime)
	dst = appendOptInt(dst, `,"seq":`, h.Seq)
	dst = appendOptInt(dst, `,"prev_seq":`, h.PrevSeq)
	dst = appendInt(dst, `,"conn":`, h.Conn)
	dst = appendInt(dst, `,"epoch":`, h.Epoch)
	dst = append(dst, `,"origin":"`...)
	dst = append(dst, h.Origin.String()...)
	dst = append(dst, '"')
	if h.Flags != 0 {
		sep := `,"flags":["`
		h.Flags.Each(func(word string) {
			dst = append(append(dst, sep...), word...)
			sep = `","`
		})
		dst = append(dst, `"]`...)
	}
	return append(dst, '}')
}

// required writes a decimal of the documented form: null when absent.
func (w *rowWriter) required(dst []byte, key string, d market.Decimal) []byte {
	dst = append(dst, key...)
	if !d.IsSet() {
		return append(dst, "null"...)
	}
	return w.decimal(dst, d)
}

// further writes a decimal that the documented form does not have: nothing when
// absent.
func (w *rowWriter) further(dst []byte, key string, d market.Decimal) []byte {
	if !d.IsSet() {
		return dst
	}
	return w.decimal(append(dst, key...), d)
}

func (w *rowWriter) decimal(dst []byte, d market.Decimal) []byte {
	if w.strings {
		return append(d.AppendText(append(dst, '"')), '"')
	}
	return d.AppendText(dst)
}

func (w *rowWriter) levels(dst []byte, key string, levels []market.Level) []byte {
	dst = append(append(dst, key...), '[')
	for i := range levels {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		dst = w.decimal(dst, levels[i].Price)
		dst = append(dst, ',')
		dst = w.decimal(dst, levels[i].Amount)
		dst = append(dst, ']')
	}
	return append(dst, ']')
}

func appendText(dst []byte, key, s string) []byte {
	if s == "" {
		return dst
	}
	return market.AppendJSONString(append(dst, key...), s)
}

func appendInt(dst []byte, key string, n int64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, key...), n, 10)
}

func appendOptInt(dst []byte, key string, n market.OptInt) []byte {
	if !n.OK {
		return dst
	}
	return strconv.AppendInt(append(dst, key...), n.V, 10)
}

// success opens every answer of a read.
type success struct {
	Status string `json:"status" enum:"success" required:"true"`
}

var succeeded = success{Status: "success"}

// listTail closes the answer of a list.
type listTail struct {
	Count      int       `json:"count" minimum:"0" required:"true" doc:"of this answer"`
	Timestamp  time.Time `json:"timestamp" required:"true"`
	NextCursor string    `json:"next_cursor,omitempty" doc:"continues the list; absent when nothing follows"`
	Stale      *stale    `json:"stale,omitempty" doc:"that the list may be old; absent while it is not"`
}

// notFound is the documented 404 that is no problem document.
type notFound struct {
	Status  string `json:"status" enum:"not_found" required:"true"`
	Message string `json:"message" required:"true"`
}

// one answers with the last record of a kind, or the documented 404.
func (f *service) one(w http.ResponseWriter, r *http.Request, kind market.Kind, noun string, appendRow func(*rowWriter, []byte, market.Record) []byte) error {
	f.reads.Add(1)
	q := chassis.QueryOf(r)
	asked, err := facade.AskedOf(r, q)
	if err != nil {
		return err
	}
	origin, rows := originOf(q), newRowWriter(asked, q)
	if err := q.Err(); err != nil {
		return err
	}
	i, _, err := f.find(r.Context(), asked, kind)
	if err != nil {
		return err
	}
	record, ok, err := f.Branch.Last(r.Context(), kind, i.ID(), origin)
	if err != nil {
		return err
	}
	if !ok {
		return chassis.WriteJSON(w, r, http.StatusNotFound, notFound{"not_found",
			"no " + noun + " of " + asked.Symbol + " on " + asked.Exchange + " (" + i.Market.String() + ") is stored"})
	}
	return chassis.WriteJSON(w, r, http.StatusOK, struct {
		success
		Data      rawJSON   `json:"data"`
		Timestamp time.Time `json:"timestamp"`
	}{succeeded, appendRow(rows, nil, record), f.Now()})
}

// rawJSON is JSON text already.
type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// oneRoute describes the route of one's answer.
func oneRoute(path, id, summary, noun string, row any, handler chassis.Handler) chassis.Route {
	return chassis.Route{
		Method: http.MethodGet, Path: base + path, ID: id, Tag: tagHot, Summary: summary,
		Params: params(facade.PathParams(), facade.MarketParam(), paramOrigin, paramNumbers),
		Responses: []chassis.Response{
			{Body: row},
			{Status: http.StatusNotFound, Doc: "no " + noun + " is stored", Body: notFound{}},
		},
		Handler: handler,
	}
}
