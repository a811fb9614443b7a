package journal

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/persistence"
)

func positionsOf(t testing.TB, j *Journal, reader string) *Positions {
	t.Helper()
	p, err := j.Positions(testContext(t), reader)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func loadPosition(t testing.TB, p *Positions, shard int) persistence.Position {
	t.Helper()
	at, err := p.Load(testContext(t), shard)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestPositionsSurviveARestart(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	p := positionsOf(t, j, "questdb")
	if at := loadPosition(t, p, 1); at.Seq != 0 || at.Shard != 1 || at.JournalID != "" {
		t.Errorf("a position that was never saved is %+v", at)
	}
	want := persistence.Position{
		JournalID: j.ID(), Shard: 1, Seq: 41, Epochs: map[string]int64{"binance|spot|BTC-USDT": 3},
		Recorders: map[persistence.Incarnation]persistence.RecorderBatch{{1, 2}: {N: 7, Seq: 41, Sum: 9}},
	}
	for want.Seq < 44 {
		want.Seq++
		if err := p.Save(testContext(t), want); err != nil {
			t.Fatal(err)
		}
	}
	loadPosition(t, p, 0)
	if err := p.Save(testContext(t), persistence.Position{JournalID: j.ID(), Seq: 5}); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b.start()
	j = b.openJournal(testConfig())
	p = positionsOf(t, j, "questdb")
	if got := loadPosition(t, p, 1); !reflect.DeepEqual(got, want) {
		t.Errorf("after a restart the position is\n%+v, want\n%+v", got, want)
	}
	if got := loadPosition(t, p, 0); got.Seq != 5 {
		t.Errorf("shard 0 is at %d", got.Seq)
	}
	if got := loadPosition(t, positionsOf(t, j, "other"), 1); got.Seq != 0 {
		t.Errorf("another reader's position is %d", got.Seq)
	}
}

func TestPositionsAreComparedAndSet(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	first, second := positionsOf(t, j, "questdb"), positionsOf(t, j, "questdb")
	at := func(seq uint64) persistence.Position { return persistence.Position{JournalID: j.ID(), Seq: seq} }
	if err := first.Save(testContext(t), at(1)); err == nil {
		t.Error("a position was saved before it was loaded")
	}
	loadPosition(t, first, 0)
	loadPosition(t, second, 0)
	if err := first.Save(testContext(t), at(1)); err != nil {
		t.Fatal(err)
	}
	if err := second.Save(testContext(t), at(2)); !errors.Is(err, ErrReaderTaken) {
		t.Errorf("two processes saved over each other: %v", err)
	}
	// The answer to a save of our own was lost.
	first.revisions[0] = 0
	if err := first.Save(testContext(t), at(1)); err != nil {
		t.Errorf("the same position again: %v", err)
	}
	if err := first.Save(testContext(t), at(3)); err != nil {
		t.Errorf("and the next one: %v", err)
	}
	if got := loadPosition(t, second, 0); got.Seq != 3 {
		t.Errorf("saved is %d", got.Seq)
	}
	if err := second.Save(testContext(t), at(4)); err != nil {
		t.Errorf("after loading: %v", err)
	}
}

// lossy is a bucket whose answers are lost, before or after a write is made.
type lossy struct {
	jetstream.KeyValue
	lose int // writes whose answer is lost
	made bool
}

var errLost = errors.New("no answer")

func (l *lossy) Update(ctx context.Context, key string, value []byte, last uint64) (uint64, error) {
	if l.lose == 0 {
		return l.KeyValue.Update(ctx, key, value, last)
	}
	l.lose--
	if l.made {
		if _, err := l.KeyValue.Update(ctx, key, value, last); err != nil {
			return 0, err
		}
	}
	return 0, errLost
}

// TestPositionsAfterALostAnswer: a position whose answer was lost is nobody else's, also
// when the next one that is saved is a later one.
func TestPositionsAfterALostAnswer(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	at := func(seq uint64) persistence.Position { return persistence.Position{JournalID: j.ID(), Seq: seq} }
	for _, made := range []bool{true, false} {
		p, other := positionsOf(t, j, "questdb"), positionsOf(t, j, "questdb")
		seq := loadPosition(t, p, 0).Seq + 1
		if err := p.Save(testContext(t), at(seq)); err != nil {
			t.Fatal(err)
		}
		p.kv = &lossy{KeyValue: p.kv, lose: 2, made: made}
		for i := range 2 {
			seq++
			err := p.Save(testContext(t), at(seq))
			if errors.Is(err, ErrReaderTaken) || i == 0 && !errors.Is(err, errLost) {
				t.Errorf("made %v: a lost answer: %v", made, err)
			}
		}
		for range 2 {
			seq++
			if err := p.Save(testContext(t), at(seq)); err != nil {
				t.Errorf("made %v: a later position: %v", made, err)
			}
		}
		if got := loadPosition(t, other, 0); got.Seq != seq {
			t.Errorf("made %v: saved is %d, want %d", made, got.Seq, seq)
		}
		p.kv = &lossy{KeyValue: p.kv, lose: 1, made: false}
		if err := p.Save(testContext(t), at(seq+1)); !errors.Is(err, errLost) {
			t.Error(err)
		}
		if err := other.Save(testContext(t), at(seq+9)); err != nil {
			t.Fatal(err)
		}
		if err := p.Save(testContext(t), at(seq+2)); !errors.Is(err, ErrReaderTaken) {
			t.Errorf("made %v: another process has saved, and it says %v", made, err)
		}
	}
}
