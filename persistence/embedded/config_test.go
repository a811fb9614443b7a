package embedded

import (
	"strings"
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for key, spoil := range map[string]func(*Config){
		"publish_interval": func(c *Config) { c.PublishInterval = time.Millisecond },
		"publish_rows":     func(c *Config) { c.PublishRows = 0 },
		"publish_bytes":    func(c *Config) { c.PublishBytes = 1 },
		"merged_rows":      func(c *Config) { c.MergedRows = 0 },
		"unlink_after":     func(c *Config) { c.UnlinkAfter = -1 },
		"open_parts":       func(c *Config) { c.OpenParts = 0 },
	} {
		cfg := DefaultConfig()
		spoil(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("spoiled %s: %v", key, err)
		}
		if _, err := Open(t.TempDir(), cfg, Surroundings{}); err == nil {
			t.Errorf("opened with spoiled %s", key)
		}
	}
}
