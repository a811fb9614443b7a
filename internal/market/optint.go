package market

// OptInt is an integer that may be absent.
type OptInt struct {
	V  int64
	OK bool
}

// Int is a present OptInt.
func Int(v int64) OptInt { return OptInt{V: v, OK: true} }

// Less orders absent before every number.
func (a OptInt) Less(b OptInt) bool {
	if a.OK != b.OK {
		return b.OK
	}
	return a.V < b.V
}
