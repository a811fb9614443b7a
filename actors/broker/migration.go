package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// What stands in the way of a migration, beside ErrInUse and ErrInCluster.
var (
	// ErrNothingToMigrate: there is no store of a server that stood alone.
	ErrNothingToMigrate = errors.New("there is no broker store to migrate")
	// ErrNoRoom: the disk has no room for a second store beside the first.
	ErrNoRoom = errors.New("no room for the new store")
	// ErrCarried: a stream did not arrive as it was.
	ErrCarried = errors.New("a stream is not in the new store as it was in the old one")
)

// Migration makes of the store of a server that stood alone that of one in a cluster, with
// everything in it as it was: every stream with its messages, their sequences, headers and
// times, so that positions and revisions stay valid, and every consumer where it stands.
//
// It builds the new store beside the old one, which stays as it is, and makes the two
// change places by one rename when the new one is whole and on disk:
//
//	store             store.migration         store.standalone
//	old               -
//	old               the new one is built                      interrupted: built anew
//	new, whole        old                                       from here on it is done
//	new, whole        -                       old
//
// The new store belongs to a group of one, to which the other nodes come when they start
// for the first time: they hold nothing, and nats-server (v2.15.2, raft.go,
// runAsCandidate) lets servers without a log decide nothing without one that has one.
type Migration struct {
	// Config is the broker's as the node will start with it, clustered and with its
	// server name.
	Config Config
	// Inspect looks at the old store, connected to the program's account, before anything
	// is made. May be nil.
	Inspect func(ctx context.Context, nc *nats.Conn) error
	// Adapt changes what has to be another in a cluster, in the program's account of the new
	// store, when everything is in it. May be nil.
	Adapt func(ctx context.Context, nc *nats.Conn) error
	// Progress is told after each piece. May be nil.
	Progress func(MigrationProgress)
	Log      *zap.Logger

	lock *storeLock        // of the old store; nil: not open
	step func(name string) // of tests; nil: none
}

// MigrationProgress is how far a migration is.
type MigrationProgress struct {
	// Stream is the one that is being carried; "" before and after.
	Stream string
	// Bytes of Total are carried.
	Bytes, Total uint64
}

// MigrationReport is what a migration carries.
type MigrationReport struct {
	// Store is the directory that was migrated, Aside where the old one is now; "" while
	// it is only planned.
	Store string `json:"store"`
	Aside string `json:"aside"`
	// Nodes is on how many the broker will run.
	Nodes   int             `json:"nodes"`
	Streams []CarriedStream `json:"streams"`
	// Messages and Bytes are those of all streams.
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	// Done: it was done before, and only its end was missing, or nothing.
	Done bool `json:"done_before"`
}

// CarriedStream is one stream of a [MigrationReport].
type CarriedStream struct {
	// Account is program or clients.
	Account string `json:"account"`
	Name    string `json:"stream"`
	// Messages and Bytes are what it holds, First and Last its sequences.
	Messages  uint64   `json:"messages"`
	Bytes     uint64   `json:"bytes"`
	First     uint64   `json:"first_sequence"`
	Last      uint64   `json:"last_sequence"`
	Consumers []string `json:"consumers"` // durable ones
}

const (
	migrationSuffix = ".migration"
	asideSuffix     = ".standalone"
)

func (m *Migration) at(step string) {
	if m.step != nil {
		m.step(step)
	}
}

func (m *Migration) work() string { return m.Config.StoreDir + migrationSuffix }
func (m *Migration) next() string { return filepath.Join(m.work(), "store") }

// Plan says what would be carried, and changes nothing. Errors: those of Run.
func (m *Migration) Plan(ctx context.Context) (r MigrationReport, err error) {
	defer func() { err = errors.Join(err, m.unlock()) }()
	return m.begin(ctx, func(*openStore) error { return nil })
}

// Run migrates. One that was interrupted, in whatever way, is run again. Errors:
// ErrNothingToMigrate, ErrInUse, ErrInCluster where there is nothing left to do, ErrNoRoom,
// ErrCarried.
func (m *Migration) Run(ctx context.Context) (r MigrationReport, err error) {
	defer func() { err = errors.Join(err, m.unlock()) }()
	if r, err = m.begin(ctx, func(old *openStore) error { return m.build(ctx, old) }); err != nil {
		return r, err
	}
	if !r.Done {
		if err := m.replace(); err != nil {
			return r, err
		}
	}
	r.Aside, err = m.setAside()
	return r, err
}

func (m *Migration) unlock() error {
	l := m.lock
	m.lock = nil
	return l.release()
}

// replace puts the new store in the place of the old one, which is locked.
func (m *Migration) replace() error {
	if err := syncTree(m.next()); err != nil {
		return err
	}
	m.at("synced")
	if err := exchange(m.Config.StoreDir, m.next()); err != nil {
		return fmt.Errorf("putting the new store in the place of the old one: %w", err)
	}
	m.at("switched")
	return syncFile(filepath.Dir(m.Config.StoreDir))
}

// begin opens the old store, which is locked from then on, and has build make the new one;
// where that was done before, neither.
func (m *Migration) begin(ctx context.Context, build func(old *openStore) error) (r MigrationReport, err error) {
	if !m.Config.Clustered() {
		return r, errors.New("the configuration is not of a cluster: nats.cluster.bootstrap_expect has to be 3 or 5")
	}
	store := m.Config.StoreDir
	switch f, err := formOf(store); {
	case err != nil:
		return r, err
	case f == unused:
		return r, fmt.Errorf("%w: %s has no streams", ErrNothingToMigrate, store)
	case f == inCluster:
		made, err := readJoining(store)
		if err != nil {
			return r, err
		}
		if made == nil {
			return r, fmt.Errorf("%w already: %s", ErrInCluster, store)
		}
		made.Done = true
		return *made, nil
	}
	if m.lock, err = lockStore(store, doingMigrate); err != nil {
		return r, err
	}
	m.at("locked")
	old, err := openAlone(ctx, m.Config, m.Log)
	if err != nil {
		return r, fmt.Errorf("opening the store: %w", err)
	}
	defer old.close()
	if r, err = old.describe(ctx, m.Config); err != nil {
		return r, err
	}
	if m.Inspect != nil {
		if err := m.Inspect(ctx, old.program.nc); err != nil {
			return r, err
		}
	}
	if err := m.room(r); err != nil {
		return r, err
	}
	old.report = r
	m.at("opened")
	return r, build(old)
}

// room refuses where the disk has no place for a second store.
func (m *Migration) room(r MigrationReport) error {
	free, err := freeBytes(filepath.Dir(m.Config.StoreDir))
	if err != nil {
		return err
	}
	if need := r.Bytes + r.Bytes/10 + 64<<20; free < need {
		return fmt.Errorf("%w: %d bytes are free beside %s, %d are needed", ErrNoRoom, free, m.Config.StoreDir, need)
	}
	return nil
}

// build makes the new store, of the old one.
func (m *Migration) build(ctx context.Context, old *openStore) error {
	// What an interrupted one left; the old store is in its place.
	if err := os.RemoveAll(m.work()); err != nil {
		return fmt.Errorf("removing what was left of a migration: %w", err)
	}
	if err := m.probeExchange(); err != nil {
		return err
	}
	fresh, err := openGroupOfOne(ctx, m.Config, m.next(), filepath.Join(m.work(), "companion"), m.Log)
	if err != nil {
		return fmt.Errorf("making the new store: %w", err)
	}
	defer fresh.close()
	m.at("formed")
	p := MigrationProgress{Total: old.report.Bytes}
	for _, s := range old.report.Streams {
		p.Stream = s.Name
		from, to := old.account(s.Account), fresh.account(s.Account)
		before := p.Bytes
		err := carry(ctx, from, to, s, func(bytes uint64) {
			p.Bytes = before + min(bytes, s.Bytes)
			m.tell(p)
		})
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		p.Bytes = before + s.Bytes
		m.tell(p)
		m.at("carried " + s.Name)
	}
	if m.Adapt != nil {
		if err := m.Adapt(ctx, fresh.program.nc); err != nil {
			return err
		}
	}
	m.at("adapted")
	if err := writeJoining(m.next(), old.report); err != nil {
		return err
	}
	m.tell(MigrationProgress{Bytes: p.Bytes, Total: p.Total})
	return nil
}

func (m *Migration) tell(p MigrationProgress) {
	if m.Progress != nil {
		m.Progress(p)
	}
}

// probeExchange makes sure, before the work, that its last step is possible here.
func (m *Migration) probeExchange() error {
	a, b := filepath.Join(m.work(), "a"), filepath.Join(m.Config.StoreDir, "b")
	for _, dir := range []string{a, b} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("making a directory: %w", err)
		}
	}
	err := exchange(a, b)
	if err = errors.Join(err, os.Remove(a), os.Remove(b)); err != nil {
		return fmt.Errorf("%s and %s cannot change places on this file system: %w", m.Config.StoreDir, m.work(), err)
	}
	return nil
}

// setAside gives the old store, which is where the new one was built, its name.
func (m *Migration) setAside() (string, error) {
	if f, err := formOf(m.next()); err != nil || f != standalone {
		return m.foundAside(), errors.Join(err, os.RemoveAll(m.work())) // that was done
	}
	aside := m.Config.StoreDir + asideSuffix
	for n := 2; exists(aside); n++ {
		aside = fmt.Sprintf("%s%s-%d", m.Config.StoreDir, asideSuffix, n)
	}
	if err := os.Rename(m.next(), aside); err != nil {
		return "", fmt.Errorf("setting the old store aside: %w", err)
	}
	m.at("aside")
	if err := os.RemoveAll(m.work()); err != nil {
		return aside, fmt.Errorf("clearing up: %w", err)
	}
	return aside, syncFile(filepath.Dir(m.Config.StoreDir))
}

// foundAside is the last old store that was set aside.
func (m *Migration) foundAside() string {
	all, err := filepath.Glob(m.Config.StoreDir + asideSuffix + "*")
	if err != nil || len(all) == 0 {
		return ""
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	return all[len(all)-1]
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// syncTree makes everything below dir durable: what a server restores it does not sync.
func syncTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			dirs = append(dirs, path)
			return nil
		}
		return syncFile(path)
	})
	if err != nil {
		return fmt.Errorf("making the new store durable: %w", err)
	}
	slices.Reverse(dirs)
	for _, d := range append(dirs, filepath.Dir(dir)) {
		if err := syncFile(d); err != nil {
			return fmt.Errorf("making the new store durable: %w", err)
		}
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
