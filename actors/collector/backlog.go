package collector

import "sync/atomic"

// backlog bounds the memory of what waits for all streams together, and of what they
// keep waiting: deliveries in their mailboxes, records that they hold while they
// resume, and records that fill up entries for the journal; each of the three has the
// same limit. Each stream is bounded by itself too; thousands of them would hold
// gigabytes where less is handled than comes.
//
// A delivery that does not fit waits for a moment in its socket, like one that finds a
// mailbox full, and is then lost, counted, and made a gap; so is a record that cannot
// be held. Entries that may not fill up any further go to the recorder as they are,
// which takes them or has no credit.
type backlog struct {
	limit   int64 // bytes
	mailed  atomic.Int64
	held    atomic.Int64
	filling atomic.Int64
	handled atomic.Uint64
	room    room
}

func newBacklog(limit int64) *backlog {
	b := &backlog{limit: limit}
	b.room.init()
	return b
}

func (b *backlog) full() bool     { return b.mailed.Load() >= b.limit }
func (b *backlog) holdFull() bool { return b.held.Load() >= b.limit }
func (b *backlog) fillFull() bool { return b.filling.Load() >= b.limit }
func (b *backlog) bytes() int64   { return b.mailed.Load() + b.held.Load() + b.filling.Load() }

// share is one stream's part of the backlog, in bytes. What it loses with its mailbox,
// or by a panic, it gives back when it begins anew or ends.
type share struct{ mailed, held, filling atomic.Int64 }

func (r *route) mailed(n int64) {
	r.share.mailed.Add(n)
	r.venue.opts.backlog.mailed.Add(n)
}

// opened gives back what was taken out of the mailbox.
func (r *route) opened(n int64) {
	r.mailed(-n)
	b := r.venue.opts.backlog
	b.handled.Add(1)
	b.room.signal()
}

func (r *route) holds(n int64) {
	r.share.held.Add(n)
	r.venue.opts.backlog.held.Add(n)
}

func (r *route) fills(n int64) {
	r.share.filling.Add(n)
	r.venue.opts.backlog.filling.Add(n)
}

// released gives back what was held.
func (r *route) released() { r.venue.opts.backlog.held.Add(-r.share.held.Swap(0)) }

// filled gives back what the open entry held.
func (r *route) filled() { r.venue.opts.backlog.filling.Add(-r.share.filling.Swap(0)) }

// giveBack gives back what an incarnation had, with its mailbox when that is no more.
func (r *route) giveBack(mailbox bool) {
	r.released()
	r.filled()
	if mailbox {
		b := r.venue.opts.backlog
		b.mailed.Add(-r.share.mailed.Swap(0))
		b.room.signal()
	}
}
