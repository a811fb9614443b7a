package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// pidDir is where running services say which process they are.
func pidDir(dataDir string) string { return filepath.Join(dataDir, "run") }

func pidPath(dataDir, service string) string {
	return filepath.Join(pidDir(dataDir), service+".pid")
}

// process is what a pid file holds.
type process struct {
	PID int `json:"pid"`
	// Started tells a process from a later one with the same number.
	Started string `json:"started"`
	// URL is where the service answers, for ports that were chosen at start.
	URL string `json:"url"`
}

// writePIDs says that this process runs the services, at the given URLs, and
// returns what takes it back.
func writePIDs(dataDir string, urls map[string]string) (remove func() error, err error) {
	if err := os.MkdirAll(pidDir(dataDir), 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of the pid files: %w", err)
	}
	for service, url := range urls {
		text, err := json.Marshal(process{PID: os.Getpid(), Started: startOf(os.Getpid()), URL: url})
		if err != nil {
			return nil, fmt.Errorf("writing a pid file: %w", err)
		}
		// Whole or not at all: others read it at any moment.
		half := pidPath(dataDir, service) + ".tmp"
		if err := os.WriteFile(half, append(text, '\n'), 0o644); err != nil {
			return nil, fmt.Errorf("writing a pid file: %w", err)
		}
		if err := os.Rename(half, pidPath(dataDir, service)); err != nil {
			return nil, fmt.Errorf("writing a pid file: %w", err)
		}
	}
	return func() error {
		var errs []error
		for service := range urls {
			if pid, _, ok := Running(dataDir, service); ok && pid == os.Getpid() {
				errs = append(errs, os.Remove(pidPath(dataDir, service)))
			}
		}
		return errors.Join(errs...)
	}, nil
}

// free says whether no other process runs one of the services on the data
// directory.
func free(dataDir string, services []string) error {
	for _, s := range services {
		if pid, _, ok := Running(dataDir, s); ok && pid != os.Getpid() {
			return fmt.Errorf("%s already runs on %s as process %d; `marketprism stop` ends it", s, dataDir, pid)
		}
	}
	return nil
}

// claim takes the services on the data directory for this process until it
// releases them or ends: of two processes that start at once, one is refused. The
// pid files come later, when it is known where the services answer.
func claim(dataDir string, services []string) (release func() error, err error) {
	if err := os.MkdirAll(pidDir(dataDir), 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of the pid files: %w", err)
	}
	var held []*os.File
	release = func() error {
		var errs []error
		for _, f := range held {
			errs = append(errs, f.Close())
		}
		return errors.Join(errs...)
	}
	for _, s := range services {
		f, err := os.OpenFile(filepath.Join(pidDir(dataDir), s+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("claiming %s: %w", s, err), release())
		}
		held = append(held, f)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%s is being started, or stopped, on %s by another process", s, dataDir)
		}
		if err != nil {
			return nil, errors.Join(err, release())
		}
	}
	return release, nil
}

// Running is the process that runs a service on a data directory, and where the
// service answers.
func Running(dataDir, service string) (pid int, url string, ok bool) {
	text, err := os.ReadFile(pidPath(dataDir, service))
	if err != nil {
		return 0, "", false
	}
	var p process
	if json.Unmarshal(text, &p) != nil || p.PID <= 0 || startOf(p.PID) != p.Started {
		return 0, "", false
	}
	return p.PID, p.URL, syscall.Kill(p.PID, 0) == nil
}

// Ended says whether a process that ran a service on a data directory has ended
// without stopping in order.
func Ended(dataDir, service string) bool {
	_, err := os.Stat(pidPath(dataDir, service))
	_, _, runs := Running(dataDir, service)
	return err == nil && !runs
}

// startOf is when a process started, in the kernel's own count; "" where that
// cannot be told, and of one that has ended.
func startOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name, in parentheses, may hold anything; start time is field 22.
	_, rest, ok := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" { // it has ended, and its parent has not asked how
		return ""
	}
	return fields[19]
}
