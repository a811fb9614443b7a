package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// Reading is the store of a process that has ended, open to be read. It changes
// nothing in the directory: files that the manifest does not list stay, and a damaged
// one fails the queries that meet it. While it is open no [Engine] can open the
// directory; other Readings can.
type Reading struct {
	engine *Engine
	lock   *os.File
}

// Read opens the store in dir. What a process that was killed had not published is in
// its journal, and not here. Errors: persistence.ErrLocked while an Engine has it, a
// *persistence.IOError, among them that there is no store, and a
// *persistence.CorruptError for the manifest.
func Read(dir string, with Surroundings) (*Reading, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("embedded store directory: %w", err)
	}
	e := &Engine{dir: dir, cfg: DefaultConfig(), now: with.Now, log: with.Log, names: with.Names, archived: map[tableShard]uint64{}, readOnly: true}
	if e.now == nil {
		e.now = time.Now
	}
	if e.log == nil {
		e.log = zap.NewNop()
	}
	if e.names == nil {
		e.names = part.NewNames()
	}
	if e.schemas, err = part.NewSchemas(); err != nil {
		return nil, err
	}
	lock, err := shareDirectory(dir)
	if err != nil {
		return nil, err
	}
	state, _, err := part.ReadManifest(dir)
	if errors.Is(err, persistence.ErrCorrupt) {
		err = fmt.Errorf("%w; the next start of the service makes it again", err)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	e.damaged = state.Quarantined
	for _, m := range state.Parts {
		e.parts[m.Kind] = append(e.parts[m.Kind], e.newStored(m))
	}
	for kind := range e.parts {
		sortParts(e.parts[kind])
	}
	e.Reader = scan.Reader{
		Layers: []scan.Layer{(*partsLayer)(e)}, Schemas: e.schemas, Now: e.now, Gate: &e.gate, Read: func(market.Kind, int) {},
	}
	return &Reading{e, lock}, nil
}

// Scan is how the store answers queries, for whoever adds layers to it.
func (r *Reading) Scan() scan.Reader { return r.engine.Reader }

// Damaged are the files that were set aside: what they held is not read.
func (r *Reading) Damaged() int { return len(r.engine.damaged) }

// Close ends the reading; it is called once.
func (r *Reading) Close() error {
	r.engine.gate.Shut()
	r.engine.gate.Wait()
	var errs []error
	for _, parts := range r.engine.parts {
		for _, p := range parts {
			errs = append(errs, p.closeFile())
		}
	}
	return errors.Join(append(errs, r.lock.Close())...)
}

var _ persistence.Reader = (*scan.Reader)(nil)
