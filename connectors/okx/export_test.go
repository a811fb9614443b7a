package okx

// Sum is the checksum of a text.
func Sum(text string) int64 { return sum([]byte(text)) }
