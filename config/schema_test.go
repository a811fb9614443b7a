package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/marketprism/marketprism/config"
)

// TestSchemaPublished: the published schemas are what the settings are.
func TestSchemaPublished(t *testing.T) {
	for file, generate := range map[string]func() ([]byte, error){
		"schema/services.schema.json": config.Schema,
		"schema/exchange.schema.json": config.ExchangeSchema,
	} {
		got, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is out of date: go generate ./config", file)
		}
	}
}

func TestSchemaDescribes(t *testing.T) {
	raw, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]struct {
			Description string
			Properties  map[string]struct {
				Description string
				Type        any
				Default     any
				Minimum     *float64
				Maximum     *float64
			}
			AdditionalProperties any
		}
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	port := schema.Properties["data-storage-service"].Properties["port"]
	if port.Default != 8080.0 || port.Type != "integer" || port.Minimum == nil || *port.Maximum != 65535 {
		t.Errorf("port is described as %+v", port)
	}
	for name, section := range schema.Properties {
		if section.Description == "" {
			t.Errorf("%s has no description", name)
		}
		if name != "exchanges" && section.AdditionalProperties != false {
			t.Errorf("%s takes unknown keys", name)
		}
		for key, setting := range section.Properties {
			if setting.Description == "" && name != "services" {
				t.Errorf("%s.%s has no description", name, key)
			}
		}
	}
	if len(schema.Properties["services"].Properties) != 6 {
		t.Errorf("services: holds %d services", len(schema.Properties["services"].Properties))
	}
}
