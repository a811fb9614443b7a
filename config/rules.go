package config

import (
	"embed"
	"io/fs"
)

// rules are the built-in rules. Their tests (rules/*_test.yaml) stay outside.
//
//go:embed rules/actors.yaml rules/broker.yaml rules/cluster.yaml rules/collector.yaml rules/platform.yaml rules/storage.yaml
var rules embed.FS

// Rules are the built-in rule files, in Prometheus' format, by their names.
func Rules() fs.FS {
	files, err := fs.Sub(rules, "rules")
	if err != nil {
		panic(err) // the path is a constant
	}
	return files
}
