package coordinator

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/marketprism/marketprism/cluster/placement"
)

// planKey is the plan's in the bucket.
const planKey = "plan"

// planVersion is that of the document. A node leaves plans of a later version alone
// and goes on with the one it has.
const planVersion = 1

// maxPlan bounds a document as it is read, in bytes: some 10 million streams.
const maxPlan = 1 << 30

// Plan is the plan in force.
type Plan struct {
	placement.Plan
	// Revision orders plans; 0 is none.
	Revision uint64
	Made     time.Time
	// By is the node that made it.
	By string
	// Number counts plans, and Since is the one by which the owner of a stream got it;
	// 0 is none that was counted.
	Number uint64
	Since  map[string]uint64
	// Term counts those who have made plans: a node that gets the lease begins the next
	// with its first plan, and whoever sees a later one than its own makes no more.
	Term uint64
}

// document is a plan as it is kept: JSON, compressed by gzip.
type document struct {
	Version  int                 `json:"version"`
	Made     time.Time           `json:"made"`
	By       string              `json:"by"`
	Nodes    []placement.Node    `json:"nodes"`
	Streams  map[string][]string `json:"streams"` // by node
	Unplaced []string            `json:"unplaced,omitempty"`
	Number   uint64              `json:"number,omitempty"`
	Since    map[uint64][]string `json:"since,omitempty"` // streams by the plan that gave them to their owner
	Term     uint64              `json:"term,omitempty"`
}

func encode(p Plan) ([]byte, error) {
	d := document{Version: planVersion, Made: p.Made, By: p.By, Nodes: p.Nodes, Streams: map[string][]string{}, Unplaced: p.Unplaced, Number: p.Number, Since: map[uint64][]string{}, Term: p.Term}
	for id, node := range p.Owners {
		d.Streams[node] = append(d.Streams[node], id)
	}
	for _, all := range d.Streams {
		slices.Sort(all)
	}
	for id, number := range p.Since {
		d.Since[number] = append(d.Since[number], id)
	}
	for _, all := range d.Since {
		slices.Sort(all)
	}
	value, err := pack(d)
	if err != nil {
		return nil, fmt.Errorf("writing the plan: %w", err)
	}
	return value, nil
}

// pack is the form of larger documents: JSON, compressed by gzip.
func pack(document any) ([]byte, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return out.Bytes(), nil
}

// unpack reads what pack has made.
func unpack(value []byte, into any) error {
	r, err := gzip.NewReader(bytes.NewReader(value))
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(r, maxPlan))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func decode(value []byte, revision uint64) (Plan, error) {
	var d document
	if err := unpack(value, &d); err != nil {
		return Plan{}, fmt.Errorf("reading plan %d: %w", revision, err)
	}
	if d.Version != planVersion {
		return Plan{}, fmt.Errorf("plan %d is of version %d, this program reads %d", revision, d.Version, planVersion)
	}
	p := Plan{Plan: placement.Plan{Nodes: d.Nodes, Owners: map[string]string{}, Unplaced: d.Unplaced}, Revision: revision, Made: d.Made, By: d.By, Number: d.Number, Since: map[string]uint64{}, Term: d.Term}
	for node, all := range d.Streams {
		for _, id := range all {
			p.Owners[id] = node
		}
	}
	for number, all := range d.Since {
		for _, id := range all {
			p.Since[id] = number
		}
	}
	return p, nil
}

// of are the streams of a node.
func (p Plan) of(node string) map[string]struct{} {
	all := map[string]struct{}{}
	for id, owner := range p.Owners {
		if owner == node {
			all[id] = struct{}{}
		}
	}
	return all
}
