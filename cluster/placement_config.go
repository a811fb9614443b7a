package cluster

import (
	"errors"
	"strings"
	"time"
)

// PlacementConfig says how streams are placed over the nodes that Consul knows.
type PlacementConfig struct {
	Weight    float64       `yaml:"weight" doc:"Share of the streams that this node takes, relative to the weights of the others; above 0."`
	Tolerance float64       `yaml:"tolerance" doc:"By how much of its share a node may have more or less before streams move for balance alone; above 0, below 1."`
	Address   string        `yaml:"address" doc:"Public address that this node's connections to exchanges come from, where it shares that with other nodes: what an exchange allows one address, they have together. Empty: an address of its own."`
	Settle    time.Duration `yaml:"settle" doc:"How long nodes that join may gather before streams move to them. A node that is gone is not waited for."`
	LetGo     time.Duration `yaml:"let_go" doc:"How long a node may take to let go of streams before they are taken from it."`
	Leave     time.Duration `yaml:"leave" doc:"How long a node that stops waits until others have its streams."`
	Patience  time.Duration `yaml:"patience" doc:"After how long without any plan, and without Consul to make one, a node collects everything."`
}

// DefaultPlacement suits nodes of one site.
func DefaultPlacement() PlacementConfig {
	return PlacementConfig{
		Weight: 1, Tolerance: 0.1, Settle: time.Second, LetGo: 15 * time.Second, Leave: 20 * time.Second, Patience: 30 * time.Second,
	}
}

// Validate reports every value out of range.
func (c PlacementConfig) Validate() error {
	var errs []error
	if !(c.Weight > 0 && c.Weight <= 1000) {
		errs = append(errs, &addressError{"weight", "want above 0, and up to 1000"})
	}
	if !(c.Tolerance > 0 && c.Tolerance < 1) {
		errs = append(errs, &addressError{"tolerance", "want above 0 and below 1"})
	}
	if strings.ContainsAny(c.Address, " \t\n") {
		errs = append(errs, &addressError{"address", "want an address without spaces"})
	}
	for _, d := range []struct {
		field string
		is    time.Duration
	}{{"settle", c.Settle}, {"leave", c.Leave}, {"patience", c.Patience}} {
		if d.is < 0 || d.is > time.Hour {
			errs = append(errs, &addressError{d.field, "found " + d.is.String() + ": want 0s to 1h"})
		}
	}
	if c.LetGo < time.Second || c.LetGo > time.Hour {
		errs = append(errs, &addressError{"let_go", "found " + c.LetGo.String() + ": want 1s to 1h"})
	}
	return errors.Join(errs...)
}
