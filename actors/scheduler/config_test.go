package scheduler

import (
	"reflect"
	"slices"
	"testing"
)

// Every setting either changes while tasks run or is known not to.
func TestLiveSettings(t *testing.T) {
	fixed := []string{"default_tasks", "lease_term", "replicas", "stop_timeout"}
	var keys []string
	for f := range reflect.TypeFor[Config]().Fields() {
		keys = append(keys, f.Tag.Get("yaml"))
	}
	said := append(LiveSettings(), fixed...)
	slices.Sort(keys)
	slices.Sort(said)
	if !slices.Equal(keys, said) {
		t.Errorf("settings %v, spoken of %v", keys, said)
	}
}
