package book

import "slices"

// row is a level without pointers. Prices are integers at their side's common
// scale, so that smaller is better (bids are negated).
type row struct {
	key    int64
	amount int64
	pScale uint8
	aScale uint8
}

// payload is what a row holds beside its key.
type payload struct {
	amount int64
	pScale uint8
	aScale uint8
}

// blockRows is a compromise: a change moves half a block, and there is one block
// to look at for each so many rows.
const blockRows = 64

// block holds rows from the worst to the best: keys fall.
type block struct {
	n    int
	keys [blockRows]int64
	rows [blockRows]payload
}

// ladder holds the rows of a side in blocks, worst first, so that a change moves
// little memory wherever it falls. Emptied blocks are kept for reuse.
type ladder struct {
	blocks []*block
	// lasts are the best keys of the blocks.
	lasts []int64
	size  int
	free  []*block
}

func (l *ladder) clear() {
	l.free = append(l.free, l.blocks...)
	l.blocks, l.lasts, l.size = l.blocks[:0], l.lasts[:0], 0
}

func (l *ladder) newBlock() *block {
	n := len(l.free)
	if n == 0 {
		return &block{}
	}
	b := l.free[n-1]
	l.free = l.free[:n-1]
	b.n = 0
	return b
}

// fill makes the ladder hold rows, which fall in key.
func (l *ladder) fill(rows []row) {
	l.clear()
	l.size = len(rows)
	for part := range slices.Chunk(rows, blockRows*3/4) {
		b := l.newBlock()
		for i, r := range part {
			b.set(i, r)
		}
		b.n = len(part)
		l.blocks = append(l.blocks, b)
		l.lasts = append(l.lasts, b.keys[b.n-1])
	}
}

func (b *block) set(i int, r row) {
	b.keys[i] = r.key
	b.rows[i] = payload{r.amount, r.pScale, r.aScale}
}

func (b *block) row(i int) row {
	p := &b.rows[i]
	return row{b.keys[i], p.amount, p.pScale, p.aScale}
}

// find returns the place of the first row that is not worse than key. at is the
// number of blocks where every row is worse.
func (l *ladder) find(key int64) (at, i int) {
	at = len(l.lasts)
	// Most changes are near the best price: gallop from there.
	step := 1
	for at-step >= 0 && l.lasts[at-step] <= key {
		at -= step
		step *= 2
	}
	at = firstAtMost(l.lasts[:at], max(at-step, -1), key)
	if at == len(l.blocks) {
		return at, 0
	}
	b := l.blocks[at]
	return at, firstAtMost(b.keys[:b.n], -1, key)
}

// firstAtMost is the index of the first of falling keys that is at most key, where
// those up to lo are known to be above.
func firstAtMost(keys []int64, lo int, key int64) int {
	hi := len(keys)
	for hi-lo > 1 {
		mid := int(uint(lo+hi) >> 1)
		if keys[mid] <= key {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// put sets the row with r's key.
func (l *ladder) put(r row) {
	at, i := l.find(r.key)
	if at == len(l.blocks) { // better than all
		if at == 0 {
			l.blocks, l.lasts = append(l.blocks, l.newBlock()), append(l.lasts, 0)
			at = 1
		}
		at--
		i = l.blocks[at].n
	}
	b := l.blocks[at]
	if i < b.n && b.keys[i] == r.key {
		b.set(i, r)
		return
	}
	l.size++
	if b.n == blockRows {
		at, i = l.split(at, i)
		b = l.blocks[at]
	}
	copy(b.keys[i+1:b.n+1], b.keys[i:b.n])
	copy(b.rows[i+1:b.n+1], b.rows[i:b.n])
	b.set(i, r)
	b.n++
	l.lasts[at] = b.keys[b.n-1]
}

// split halves a full block and returns where the place (at, i) is now.
func (l *ladder) split(at, i int) (int, int) {
	const half = blockRows / 2
	worse, better := l.blocks[at], l.newBlock()
	better.n = copy(better.keys[:], worse.keys[half:])
	copy(better.rows[:], worse.rows[half:])
	worse.n = half
	l.blocks = slices.Insert(l.blocks, at+1, better)
	l.lasts = slices.Insert(l.lasts, at, worse.keys[half-1])
	if i > half {
		return at + 1, i - half
	}
	return at, i
}

// remove takes out the row with the key, if there is one.
func (l *ladder) remove(key int64) {
	at, i := l.find(key)
	if at == len(l.blocks) {
		return
	}
	b := l.blocks[at]
	if i == b.n || b.keys[i] != key {
		return
	}
	l.size--
	copy(b.keys[i:b.n-1], b.keys[i+1:b.n])
	copy(b.rows[i:b.n-1], b.rows[i+1:b.n])
	b.n--
	if b.n == 0 {
		l.free = append(l.free, b)
		l.blocks = slices.Delete(l.blocks, at, at+1)
		l.lasts = slices.Delete(l.lasts, at, at+1)
		return
	}
	l.lasts[at] = b.keys[b.n-1]
}

// best is the best row; the ladder must not be empty.
func (l *ladder) best() row {
	b := l.blocks[len(l.blocks)-1]
	return b.row(b.n - 1)
}

// within counts the rows not worse than key, but no more than limit.
func (l *ladder) within(key int64, limit int) int {
	n := 0
	for at := len(l.blocks) - 1; at >= 0 && n < limit; at-- {
		b := l.blocks[at]
		i := 0
		if b.keys[0] > key {
			i = firstAtMost(b.keys[:b.n], 0, key)
		}
		n += b.n - i
		if i > 0 {
			break
		}
	}
	return min(n, limit)
}

// all yields the rows, best first.
func (l *ladder) all(yield func(row) bool) {
	for at := len(l.blocks) - 1; at >= 0; at-- {
		b := l.blocks[at]
		for i := b.n - 1; i >= 0; i-- {
			if !yield(b.row(i)) {
				return
			}
		}
	}
}

// scale multiplies every key by factor.
func (l *ladder) scale(factor int64) {
	for at, b := range l.blocks {
		for i := range b.n {
			b.keys[i] *= factor
		}
		l.lasts[at] *= factor
	}
}
