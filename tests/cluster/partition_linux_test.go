package cluster

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// A partition is one way in which a network is divided. Victim is the index of a node.
type partition struct {
	name string
	// leads is whether the victim is the node that leads the scheduler; else it is one
	// that does not.
	leads bool
	apply func(d *division, victim int, others []int)
	// writes are the nodes, of victim and others, that must acknowledge while it lasts;
	// silent those that must not.
	writes, silent func(victim int, others []int) []int
	// moves is whether the victim's streams are to be recorded elsewhere meanwhile.
	moves bool
	short bool // in the shorter form of the test, too
	// frozen: the victim is no process that answers meanwhile.
	frozen bool
	// blind: the victim reaches neither the others nor Consul, and tells what it sees.
	blind bool
	// within is what docs/operations.md states: for so long a stream is nobody's.
	within time.Duration
}

func nobody(int, []int) []int            { return nil }
func itself(victim int, _ []int) []int   { return []int{victim} }
func theRest(_ int, others []int) []int  { return others }
func all(victim int, others []int) []int { return append([]int{victim}, others...) }

func (d *division) at(which []int) (hosts []*harness.Host) {
	for _, i := range which {
		hosts = append(hosts, d.hosts[i])
	}
	return hosts
}

// away cuts a node off from the others, and from Consul.
func away(d *division, victim int, others []int) {
	d.net.Cut(d.hosts[victim], append(d.at(others), d.consulAt)...)
}

var partitions = []partition{
	{name: "a node is cut off from the others and from Consul", apply: away, writes: theRest, silent: itself, moves: true, blind: true, within: 10 * time.Second},
	{name: "the one that leads is cut off from the others and from Consul", leads: true, apply: away, writes: theRest, silent: itself, moves: true, blind: true, within: 10 * time.Second},
	{name: "the one that leads is cut off from the others, and not from Consul", leads: true, writes: theRest, silent: itself, moves: true, short: true, within: 20 * time.Second,
		apply: func(d *division, victim int, others []int) { d.net.Cut(d.hosts[victim], d.at(others)...) }},
	{name: "the one that leads is cut off from Consul alone", leads: true, writes: all, silent: nobody,
		apply: func(d *division, victim int, _ []int) { d.net.Cut(d.hosts[victim], d.consulAt) }},
	{name: "what the one that leads sends is lost, and it hears all", leads: true, writes: theRest, silent: itself, moves: true, blind: true, within: 20 * time.Second,
		apply: func(d *division, victim int, others []int) {
			for _, h := range append(d.at(others), d.consulAt) {
				d.net.Mute(d.hosts[victim], h)
			}
		}},
	{name: "two nodes are cut off from each other, and see the third", leads: true, writes: func(_ int, others []int) []int { return others[1:] }, silent: nobody,
		apply: func(d *division, victim int, others []int) { d.net.Cut(d.hosts[victim], d.hosts[others[0]]) }},
}

// lasting is how long a partition lasts: in the soak longer than the grace of members,
// and than a recorder tries.
func lasting() time.Duration {
	if os.Getenv("MARKETPRISM_SOAK") == "1" {
		return 40 * time.Second
	}
	return 15 * time.Second
}

// TestMultiNodePartition: three nodes with everything on each are divided in every way,
// and heal, again and again, under writes, tasks and alerts.
func TestMultiNodePartition(t *testing.T) {
	t.Parallel()
	d := divide(t, nil)
	d.awaitStored(time.Now())
	cases := partitions
	if os.Getenv("MARKETPRISM_SOAK") != "1" {
		cases = slices.DeleteFunc(slices.Clone(cases), func(p partition) bool { return !p.short })
	}
	for _, p := range cases {
		d.suffer(p)
	}
	d.conclude()
}

// TestMultiNodeFrozen: whoever has all leases is suspended for longer than they last, and
// wakes up while it believes to have them: what it does then takes no effect.
func TestMultiNodeFrozen(t *testing.T) {
	if os.Getenv("MARKETPRISM_SOAK") != "1" {
		t.Skip("MARKETPRISM_SOAK=1 runs it")
	}
	t.Parallel()
	d := divide(t, nil)
	d.awaitStored(time.Now())
	d.suffer(partition{
		name: "the one that leads is suspended", leads: true, frozen: true, writes: theRest, silent: itself, moves: true, within: 40 * time.Second,
		apply: func(d *division, victim int, _ []int) { d.signal(victim, syscall.SIGSTOP) },
	})
	d.conclude()
}

// suffer divides the network in one way, and heals it.
func (d *division) suffer(p partition) {
	t := d.t
	t.Helper()
	leads := -1
	d.awaitMoving("a scheduler that leads", func() bool { leads = d.holder("scheduler", 0); return leads >= 0 })
	victim := leads
	if !p.leads {
		victim = (leads + 1) % 3
	}
	others := []int{(victim + 1) % 3, (victim + 2) % 3}
	t.Logf("%s (%s)", p.name, d.name(victim))
	began := time.Now()
	p.apply(d, victim, others)
	if which := p.writes(victim, others); len(which) > 0 {
		took := d.writes.resumed(p.name, began.Add(2*time.Second), which...)
		t.Logf("  written again at %s after %v", names(d, which), (took + 2*time.Second).Round(10*time.Millisecond))
	}
	if p.moves {
		took := d.awaitLive(began, others...)
		last := took[len(took)-1]
		t.Logf("  every stream is live on the others after %v", last.Round(10*time.Millisecond))
		if os.Getenv("MARKETPRISM_SOAK") == "1" && last > p.within {
			t.Errorf("a stream was nobody's for %v, and %v is what is stated", last, p.within)
		}
	}
	quiet := time.Now()
	for _, i := range []int{others[0], victim} {
		if p.frozen && i == victim {
			continue
		}
		t.Logf("  %s: storage %q; broker %q; collector %q; scheduler %q", d.name(i), d.all[i].Health(harness.Storage).Complaint(), d.all[i].Health(harness.Broker).Complaint(),
			d.all[i].Health(harness.Collector).Complaint(), d.all[i].Health(harness.Scheduler).Complaint())
	}
	harness.Pause(t, time.Until(began.Add(lasting())))
	for _, i := range p.silent(victim, others) {
		if n := d.writes.since(i, quiet); n > 0 {
			t.Errorf("%s acknowledged %d records", d.name(i), n)
		}
	}
	t.Logf("  leases: scheduler %d, placement %d, notify %d, by what %s knows", d.holder("scheduler", others[0]), d.holder("placement", others[0]), d.holder("notifier", others[0]), d.name(others[0]))
	healed := time.Now()
	if p.frozen {
		d.signal(victim, syscall.SIGCONT)
	}
	d.net.Heal()
	if p.blind {
		d.blind = append(d.blind, span{began, healed})
	}
	took := d.writes.resumed(p.name+", healed", healed, 0, 1, 2)
	t.Logf("  healed: written at all after %v", took.Round(10*time.Millisecond))
	d.awaitPlaced(p.name+", healed", 0, 1, 2)
	t.Logf("  healed: placed on all after %v", time.Since(healed).Round(10*time.Millisecond))
	if os.Getenv("MARKETPRISM_SOAK") == "1" { // what a broker has to catch up with takes its time
		d.well(healed)
	}
}

func (d *division) signal(i int, which syscall.Signal) {
	d.t.Helper()
	if err := syscall.Kill(d.all[i].PID(), which); err != nil {
		d.t.Fatal(err)
	}
}

func names(d *division, which []int) (all []string) {
	for _, i := range which {
		all = append(all, d.name(i))
	}
	return all
}

// well waits until every node is as well as ever.
func (d *division) well(since time.Time) {
	d.t.Helper()
	var ill string
	if !harness.Eventually(d.t, time.Minute, func() bool {
		ill = ""
		for i, n := range d.all {
			for _, service := range []string{harness.Broker, harness.Storage, harness.Scheduler, harness.Collector} {
				if text := n.Health(service).Complaint(); text != "" {
					ill += d.name(i) + ": " + service + ": " + text + "\n"
				}
			}
		}
		return ill == ""
	}) {
		d.t.Errorf("not well a minute after the network was healed:\n%s", ill)
		return
	}
	d.t.Logf("  healed: every node is well after %v", time.Since(since).Round(10*time.Millisecond))
}

// conclude compares everything with what happened.
func (d *division) conclude() {
	t := d.t
	t.Helper()
	d.awaitStored(time.Now())
	end := time.Now()
	// Trades are asked for again; of a book that is not there, the ledger says so.
	healed := harness.Eventually(t, time.Minute, func() bool {
		return !slices.ContainsFunc(d.ledger(d.made, end), func(hole string) bool { return strings.Contains(hole, `"channel":"trade"`) })
	})
	if !healed {
		t.Errorf("holes of trades are not healed: %v", d.ledger(d.made, end))
	}
	d.writes.complete()
	d.complete()
	d.chains()
	d.fired(d.tasks, d.made, end, 0, 1, 2)
	keys, again := d.calls.called()
	t.Logf("%d fires called their target, %d of them more than once", keys, again)
	late, twice := d.told(end.Add(-15 * time.Second))
	t.Logf("alerts were told at most %v late; more than once, by a node that saw nobody: %v", late.Round(time.Millisecond), twice)
	for i, n := range d.all {
		n.Stop()
		if why := n.Crashed(); why != "" {
			t.Errorf("%s: %s", d.name(i), why)
		}
	}
}
