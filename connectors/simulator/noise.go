package simulator

import "math"

// hash mixes numbers: the same give the same, others something else.
func hash(parts ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, p := range parts {
		h = mix(h ^ p*0xbf58476d1ce4e5b9)
	}
	return h
}

// mix is the finisher of splitmix64.
func mix(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// hashText mixes text into a seed (FNV-1a, finished).
func hashText(seed uint64, text string) uint64 {
	h := uint64(14695981039346656037) ^ mix(seed)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return mix(h)
}

// unit is a hash as a number in [0, 1).
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// wave is smooth noise in [-1, 1] with a value of its own at each whole x.
func wave(key uint64, x float64) float64 {
	at := math.Floor(x)
	a, b := unit(hash(key, uint64(int64(at)))), unit(hash(key, uint64(int64(at)+1)))
	f := x - at
	return 2*(a+(b-a)*f*f*(3-2*f)) - 1
}

// drift is how far a price has gone from where it moves about, as a fraction, at
// a number of chunks. It is endless and bounded by ±0.06; it moves less than
// 0.0005 in a chunk.
func drift(key uint64, chunk float64) float64 {
	return 0.0004*wave(key, chunk/7) + 0.003*wave(key+1, chunk/61) +
		0.012*wave(key+2, chunk/499) + 0.04*wave(key+3, chunk/4001)
}

// random is a stream of random numbers.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	h := uint64(*r)
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// below is a number in [0, n).
func (r *random) below(n int) int { return int(r.next() >> 33 % uint64(n)) }
