package logs

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.uber.org/zap/zapcore"

	"github.com/marketprism/marketprism/actors/monitoring/relay"
	"github.com/marketprism/marketprism/actors/supervise"
)

// subject is that of forwarded lines, before the node.
const subject = "service.logs."

// batchLines is how many lines one batch has at most.
const batchLines = 2000

// Forwarder is the actor that sends the lines of a ring.
func (r *Ring) Forwarder(l relay.Link) supervise.Spec {
	return l.Sender("logs", "log_forwarder", subject, r)
}

// Follower is the actor that puts the lines of other processes into a ring.
func (r *Ring) Follower(l relay.Link) supervise.Spec {
	return l.Follower("logs", "log_follower", subject, r.takeBatch)
}

// Batch implements [relay.Source]: lines as NDJSON, as many as fit. What the ring has
// forgotten meanwhile is told with the first.
func (r *Ring) Batch(seq uint64) ([]byte, uint64) {
	found, next, missed := r.After(seq, &Filter{Level: zapcore.DebugLevel}, batchLines)
	if len(found) == 0 {
		return nil, next
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for i := range found {
		e := found[i]
		if i == 0 && missed > 0 {
			e.Fields = json.RawMessage(fmt.Sprintf(`{"missed_before":%d,"fields":%s}`, missed, e.Fields))
		}
		if err := enc.Encode(&e); err != nil {
			continue // a field that is no JSON: the process's own log has the line
		}
		if b.Len() >= relay.BatchBytes {
			return b.Bytes(), e.Seq
		}
	}
	if b.Len() == 0 {
		return []byte("\n"), next // none of them could be written
	}
	return b.Bytes(), next
}

// takeBatch keeps the lines of another process; what is no line is left out.
func (r *Ring) takeBatch(text []byte) {
	for line := range bytes.Lines(text) {
		var e Entry
		if json.Unmarshal(line, &e) != nil || e.level.UnmarshalText([]byte(e.Level)) != nil || e.Time.IsZero() {
			continue
		}
		if len(e.Fields) == 0 {
			e.Fields = none
		}
		r.Add(&e)
	}
}
