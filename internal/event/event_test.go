package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/marketprism/marketprism/internal/event"
)

//go:generate go test -run ^TestAsyncAPI$ . -update

var update = flag.Bool("update", false, "write docs/asyncapi.yaml")

const published = "../../docs/asyncapi.yaml"

// TestAsyncAPI: the published description is that of the kinds.
func TestAsyncAPI(t *testing.T) {
	want, err := event.AsyncAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(published, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(published)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/asyncapi.yaml is out of date: run go generate ./internal/event")
	}
	var document map[string]any
	if err := yaml.Unmarshal(got, &document); err != nil {
		t.Fatal(err)
	}
	if document["asyncapi"] != "3.0.0" {
		t.Errorf("version %v", document["asyncapi"])
	}
	references(t, document, document)
}

// references checks that every $ref leads somewhere.
func references(t *testing.T, root, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			at := root
			for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				m, _ := at.(map[string]any)
				at = m[step]
			}
			if at == nil {
				t.Errorf("%s leads nowhere", ref)
			}
		}
		for _, inner := range v {
			references(t, root, inner)
		}
	case []any:
		for _, inner := range v {
			references(t, root, inner)
		}
	}
}

func TestEvent(t *testing.T) {
	at := time.Date(2024, 8, 8, 12, 0, 0, 0, time.UTC)
	s := event.Source{Node: "n1", Service: "data-storage-service", Now: func() time.Time { return at }}
	e := s.New(event.ArchiveDone, "op1", event.Archive{Operation: "op1", Tables: []string{"trades"}, Rows: 7})
	if e.Topic != "system.data-storage-service.archive.done" {
		t.Errorf("topic %s", e.Topic)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"specversion": "1.0", "source": "/marketprism/n1/data-storage-service", "type": "io.marketprism.archive.done",
		"subject": "op1", "time": "2024-08-08T12:00:00Z", "datacontenttype": "application/json",
	} {
		if members[name] != want {
			t.Errorf("%s is %v, want %v", name, members[name], want)
		}
	}
	if id, _ := members["id"].(string); len(id) < 16 || e.ID == s.New(event.ServiceStarted, "", event.Service{}).ID {
		t.Errorf("id %v", members["id"])
	}
	defer func() {
		if recover() == nil {
			t.Error("an event with another kind's data was made")
		}
	}()
	s.New(event.ArchiveDone, "", event.Service{})
}

func TestKindsAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range event.Kinds() {
		if seen[k.Type] || k.Summary == "" {
			t.Errorf("%s twice, or without a summary", k.Type)
		}
		seen[k.Type] = true
	}
}
