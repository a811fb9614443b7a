package scheduler

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/internal/copies"
)

// Config is the scheduler's part of the configuration (scheduler-service.scheduler).
type Config struct {
	// MaxConcurrentTasks is how many runs are under way on one node; more wait.
	MaxConcurrentTasks int `yaml:"max_concurrent_tasks" min:"1" max:"10000" doc:"Runs in flight on one node; more wait."`
	// MaxTasks bounds the number of tasks.
	MaxTasks int `yaml:"max_tasks" min:"1" max:"100000" doc:"Most tasks that there may be."`
	// DefaultTasks makes the default tasks at the first start.
	DefaultTasks bool `yaml:"default_tasks" doc:"Whether the tasks that come with the program are made at the first start; those that were deleted stay so."`
	// RunTimeout bounds an attempt of a task that names no timeout, TotalTimeout a run
	// with all its attempts.
	RunTimeout   time.Duration `yaml:"run_timeout" doc:"Bounds one attempt of a task that names no timeout of its own."`
	TotalTimeout time.Duration `yaml:"total_timeout" doc:"Bounds a run with all its attempts, unless the task says otherwise."`
	// MisfireGrace is how late a time may be noticed and still count as met.
	MisfireGrace time.Duration `yaml:"misfire_grace" doc:"How late a time may be noticed and still count as met; later it is missed, and the task's misfire policy decides."`
	// ClockCheck is how often a waiting task looks at the clock, in case that was set.
	ClockCheck time.Duration `yaml:"clock_check" doc:"How often a waiting task looks at the clock, in case that was set."`
	// StopTimeout is what runs under way get to finish in at a stop.
	StopTimeout time.Duration `yaml:"stop_timeout" doc:"What runs under way get to finish in when the service stops; the next start runs again what did not."`
	// FlushInterval is the shortest time between two batches into the ledger.
	FlushInterval time.Duration `yaml:"flush_interval" doc:"Shortest time between two batches into the ledger; each is an fsync."`
	// MaxAnswerBytes of a target's answer are kept.
	MaxAnswerBytes int `yaml:"max_answer_bytes" unit:"bytes" doc:"How much of a target's answer is kept with the run."`
	// History of runs.
	History HistoryConfig `yaml:"history" doc:"Runs that are remembered one by one."`
	// LedgerMaxBytes bounds the ledger; SnapshotBytes are appended between two
	// snapshots.
	LedgerMaxBytes int64 `yaml:"ledger_max_bytes" unit:"bytes" doc:"Size of the ledger at the broker; when it is full nothing fires."`
	SnapshotBytes  int64 `yaml:"snapshot_bytes" unit:"bytes" doc:"What is appended to the ledger before it is summed up and its front is purged."`
	// LeaseTerm is how long a scheduler that says nothing still leads, for others.
	LeaseTerm time.Duration `yaml:"lease_term" doc:"How long a scheduler that is not heard of any more still leads: after it another one on the same broker takes over."`
	// Replicas of ledger and tasks: 1, 3 or 5; 0 is 3 where the broker has several
	// nodes, else 1.
	Replicas int `yaml:"replicas" doc:"Copies of ledger and tasks: 1, 3 or 5; 0 is 3 where the broker has several nodes, else 1."`
	// URLs says which addresses outside the platform a task may call.
	URLs URLConfig `yaml:"urls" doc:"Addresses outside the platform that tasks may call."`
}

// LiveSettings are the keys that [Handle.Reconfigure] takes up; the others take
// effect with the next start.
func LiveSettings() []string {
	return []string{
		"max_concurrent_tasks", "max_tasks", "run_timeout", "total_timeout", "misfire_grace", "clock_check", "flush_interval",
		"max_answer_bytes", "history", "ledger_max_bytes", "snapshot_bytes", "urls",
	}
}

// HistoryConfig bounds the history.
type HistoryConfig struct {
	Count int           `yaml:"count" min:"1" max:"10000" doc:"Runs of one task."`
	Total int           `yaml:"total" min:"1000" max:"1000000" doc:"Runs of all tasks together; each keeps its share."`
	Age   time.Duration `yaml:"age" doc:"Age at which a run is forgotten; 0 never."`
}

func (c HistoryConfig) retention() ledger.Retention {
	return ledger.Retention{Count: c.Count, Total: c.Total, Age: c.Age}
}

// URLConfig says which addresses a task may call.
type URLConfig struct {
	// Allow lets tasks name addresses at all.
	Allow bool `yaml:"allow" doc:"Whether tasks may call addresses at all, beside the platform's services."`
	// Hosts are the names allowed; none means every public one.
	Hosts []string `yaml:"hosts" doc:"Host names that may be called, *.example.com for all below one; none allows every public address."`
	// Networks are allowed although they are not public.
	Networks []string `yaml:"networks" doc:"Networks that may be called although they are not public, such as 10.1.0.0/16."`
}

// DefaultConfig keeps to the platform's services.
func DefaultConfig() Config {
	return Config{
		MaxConcurrentTasks: 10, MaxTasks: 20_000, DefaultTasks: true,
		RunTimeout: time.Minute, TotalTimeout: time.Hour, MisfireGrace: time.Minute, ClockCheck: 30 * time.Second,
		StopTimeout: 10 * time.Second, FlushInterval: 10 * time.Millisecond, MaxAnswerBytes: 2 << 10,
		History:        HistoryConfig{Count: 200, Total: 200_000, Age: 30 * 24 * time.Hour},
		LedgerMaxBytes: 256 << 20, SnapshotBytes: 32 << 20, LeaseTerm: 12 * time.Second,
		URLs: URLConfig{Hosts: []string{}, Networks: []string{}},
	}
}

// Validate returns all errors at once, each beginning with its key.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	within := func(key string, d, lo, hi time.Duration) {
		if d < lo || d > hi {
			bad(key, "%v, allowed %v to %v", d, lo, hi)
		}
	}
	count := func(key string, n, lo, hi int64) {
		if n < lo || n > hi {
			bad(key, "%d, allowed %d to %d", n, lo, hi)
		}
	}
	count("max_concurrent_tasks", int64(c.MaxConcurrentTasks), 1, 10_000)
	count("max_tasks", int64(c.MaxTasks), 1, 100_000)
	within("run_timeout", c.RunTimeout, 10*time.Millisecond, maxTimeout)
	within("total_timeout", c.TotalTimeout, c.RunTimeout, maxTimeout)
	within("misfire_grace", c.MisfireGrace, time.Second, 24*time.Hour)
	within("clock_check", c.ClockCheck, 100*time.Millisecond, 24*time.Hour)
	within("stop_timeout", c.StopTimeout, 100*time.Millisecond, 10*time.Minute)
	within("lease_term", c.LeaseTerm, 3*time.Second, 10*time.Minute)
	within("flush_interval", c.FlushInterval, 0, time.Second)
	count("max_answer_bytes", int64(c.MaxAnswerBytes), 0, 64<<10)
	count("history.count", int64(c.History.Count), 1, 10_000)
	count("history.total", int64(c.History.Total), 1000, 1_000_000)
	if c.History.Age < 0 {
		bad("history.age", "%v, at least 0", c.History.Age)
	}
	count("ledger_max_bytes", c.LedgerMaxBytes, 8<<20, 1<<40)
	count("snapshot_bytes", c.SnapshotBytes, 64<<10, max(64<<10, c.LedgerMaxBytes/4))
	if !copies.Allowed(c.Replicas) {
		bad("replicas", "%d, allowed 0, 1, 3, 5", c.Replicas)
	}
	for i, n := range c.URLs.Networks {
		if _, err := netip.ParsePrefix(n); err != nil {
			bad(fmt.Sprintf("urls.networks[%d]", i), "%q is no network such as 10.1.0.0/16", n)
		}
	}
	for i, h := range c.URLs.Hosts {
		if h == "" || strings.ContainsAny(h, " /:@") || strings.Contains(strings.TrimPrefix(h, "*."), "*") {
			bad(fmt.Sprintf("urls.hosts[%d]", i), "%q is no host name such as api.example.com or *.example.com", h)
		}
	}
	return errors.Join(errs...)
}
