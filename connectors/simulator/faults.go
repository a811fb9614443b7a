package simulator

import "fmt"

// Fault is a way in which the exchange lies.
type Fault uint8

// The faults.
const (
	Drop Fault = iota
	Dup
	Reorder
	Gap
	HalfOpen
	BadChecksum
	Crossed
	Disconnect
	Stale
	RateLimit
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

// Faults are the rates at which faults are injected, by [Fault]: the share of
// frames, of REST calls for [RateLimit].
type Faults [numFaults]float64

// Validate reports rates that are none.
func (f Faults) Validate() error {
	for i, rate := range f {
		if !(rate >= 0 && rate <= 1) {
			return fmt.Errorf("fault %s: rate %v is not between 0 and 1", Fault(i), rate)
		}
	}
	return nil
}

// trouble is the state of a stream's faults.
type trouble struct{}
