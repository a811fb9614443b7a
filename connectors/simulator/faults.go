package simulator

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is a way in which the exchange, or the network, lies.
type Fault uint8

// The faults.
const (
	// Drop: a frame is lost.
	Drop Fault = iota
	// Dup: a frame comes twice.
	Dup
	// Reorder: a frame comes after the next one of its stream.
	Reorder
	// Gap: several frames of a stream in a row are lost.
	Gap
	// HalfOpen: nothing comes on the connection any more, which stays established.
	HalfOpen
	// BadChecksum: the checksum of a book is wrong; where there is one.
	BadChecksum
	// Crossed: a book has a bid at its best ask.
	Crossed
	// Disconnect: the connection ends, every other time in the middle of a frame.
	Disconnect
	// Stale: an instrument falls silent for a while, all of its streams on a
	// connection.
	Stale
	// RateLimit: REST calls are refused for a while (429), and whoever does not wait
	// is banned (418).
	RateLimit
	// Malformed: a frame is cut off or has a byte that is none of JSON.
	Malformed
	numFaults
)

var faultWords = [numFaults]string{
	"drop", "dup", "reorder", "gap", "half-open", "bad-checksum", "crossed", "disconnect", "stale", "rate-limit", "malformed",
}

// String is the fault's word: "half-open".
func (f Fault) String() string {
	if f >= numFaults {
		return "invalid"
	}
	return faultWords[f]
}

// MarshalText writes the fault's word.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// ParseFault reads a fault's word.
func ParseFault(word string) (Fault, error) {
	if i := slices.Index(faultWords[:], word); i >= 0 {
		return Fault(i), nil
	}
	return 0, fmt.Errorf("fault %q is none of %s", word, strings.Join(faultWords[:], ", "))
}

// Faults are the rates at which faults are injected, by [Fault]: the share of a
// stream's frames, for [RateLimit] of the REST calls.
type Faults [numFaults]float64

// ParseFaults reads "drop=0.001,half-open=0.0001"; "" is none.
func ParseFaults(text string) (Faults, error) {
	var f Faults
	return f, f.Change(text)
}

// Change sets the rates that are named, and keeps the others; "none" ends all.
func (f *Faults) Change(text string) error {
	var errs []error
	to := *f
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if part == "none" {
			to = Faults{}
			continue
		}
		word, number, ok := strings.Cut(part, "=")
		fault, err := ParseFault(word)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rate, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil {
			errs = append(errs, fmt.Errorf("fault %s: %q is no rate: want %s=0.001", fault, number, fault))
			continue
		}
		to[fault] = rate
	}
	if err := errors.Join(append(errs, to.Validate())...); err != nil {
		return err
	}
	*f = to
	return nil
}

// Validate reports rates that are none.
func (f Faults) Validate() error {
	var errs []error
	sum := 0.0
	for i, rate := range f {
		if !(rate >= 0 && rate <= 1) {
			errs = append(errs, fmt.Errorf("fault %s: the rate %v is not between 0 and 1", Fault(i), rate))
		} else if Fault(i) != RateLimit {
			sum += rate
		}
	}
	if sum > 1 {
		errs = append(errs, fmt.Errorf("faults: the rates add up to %v, which is more than every frame", sum))
	}
	return errors.Join(errs...)
}

// String is what [ParseFaults] reads.
func (f Faults) String() string {
	var parts []string
	for i, rate := range f {
		if rate > 0 {
			parts = append(parts, Fault(i).String()+"="+strconv.FormatFloat(rate, 'g', -1, 64))
		}
	}
	return strings.Join(parts, ",")
}

// Conclusion is what a correct collector must find out about a fault.
type Conclusion string

// The conclusions.
const (
	// MustSeeHole: something is missing between the bounds; healed, or marked.
	MustSeeHole Conclusion = "hole"
	// MustResync: the book cannot be believed, and is begun anew.
	MustResync Conclusion = "resync"
	// MustDropOne: the second of two is no record.
	MustDropOne Conclusion = "duplicate"
	// MustRestoreOrder: nothing is missing and nothing twice in the end.
	MustRestoreOrder Conclusion = "order"
	// MustReconnect: nothing comes until another connection is made.
	MustReconnect Conclusion = "reconnect"
	// MustSeeSilence: the stream is silent for longer than it may be.
	MustSeeSilence Conclusion = "silence"
	// MustWait: no call before Retry-After has passed.
	MustWait Conclusion = "wait"
	// Unverifiable: nothing shows it, for the channel has no sequence and no
	// checksum; its records say so by a flag.
	Unverifiable Conclusion = "unverifiable"
)

// Injected is a fault that was injected.
type Injected struct {
	// N counts the faults of the server, from 1.
	N     int64 `json:"n"`
	Fault Fault `json:"fault"`
	// Time is the market's when it was injected, Unix ns; Until when it ends, of
	// faults that last.
	Time  int64 `json:"time_ns"`
	Until int64 `json:"until_ns,omitempty"`
	// The stream; of faults of a whole connection the one that was to be told
	// something.
	Exchange string `json:"exchange"`
	Market   string `json:"market,omitempty"`
	Symbol   string `json:"symbol,omitempty"`
	Channel  string `json:"channel,omitempty"`
	// Topic is the client's word for the subscription, or the path of a call.
	Topic string `json:"topic"`
	// Conn is the number of the connection at its host, from 0; -1 of calls.
	Conn int64 `json:"conn"`
	// Frames is the number of frames concerned.
	Frames int64 `json:"frames"`
	// FirstSeq and LastSeq bound what the frames held: trade ids of trades,
	// sequence numbers of books; 0 of other channels.
	FirstSeq int64 `json:"first_seq,omitempty"`
	LastSeq  int64 `json:"last_seq,omitempty"`
	// Snapshot says that one was among them.
	Snapshot bool `json:"snapshot,omitempty"`
	// Must is what a correct collector finds out.
	Must Conclusion `json:"must"`
}
