package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/client"
)

func TestPrintStorage(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	st := &client.StorageStatus{
		Leases: 1, MaxLeases: 256, Maintained: now.Add(-3 * time.Second),
		Shards: []client.ShardStatus{
			{
				Shard: 0, State: "reading", Applied: 9, Position: 7, BehindSeconds: 1.25,
				Journal: &client.JournalStatus{First: 2, Last: 10, Bytes: 2_500_000, MaxBytes: 4_000_000_000},
				Writers: []client.WriterStatus{{Table: "trades"}, {Table: "candles", FailuresInRow: 3, Error: "disk full"}},
			},
			{Shard: 1, State: "copying", Copying: &client.Copying{From: "embedded-node-2", Bytes: 1000, BytesTotal: 4000, Files: 1, FilesTotal: 4}},
		},
		Recorders:   []client.Recorder{{Shard: 0, State: "publishing", Batches: 5, LimitBytes: 1e6, Acknowledged: now.Add(-time.Second)}},
		Archiving:   &client.Archiving{WaitingRows: 40, LagSeconds: 7200, Cold: &client.ColdStore{Place: "data/cold", Open: true, Damaged: []client.Quarantined{{Part: &client.Part{Path: "x.parquet"}, Reason: "cut off"}}}},
		Quarantined: []client.Quarantined{{MovedTo: "hot/quarantine/y", Reason: "a bit has changed"}},
		Warnings:    []string{"archive: late"}, Failures: []string{"writer candles: disk full"},
	}
	var out bytes.Buffer
	if err := printStorage(&out, st, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"0      reading  2 to 10        9           7           0       1.25s    2.5 MB of 4.0 GB",
		"copying from embedded-node-2: 1.0 kB of 4.0 kB, 1 of 4 files",
		"candles  0      3                disk full",
		"shard 0               publishing  5        0 B of 1.0 MB  1s ago",
		"cold store data/cold; 40 rows are not archived, the oldest arrived 2h0m0s ago; nothing is archived by itself\ndamaged: x.parquet: cut off\n",
		"1 of 256 queries have rows open; maintained 3s ago; it takes no writes\n",
		"set aside: hot/quarantine/y: a bit has changed\nwarning: archive: late\nfailed: writer candles: disk full\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}

func TestPrintReaders(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	err := printReaders(&out, []client.ReaderStanding{
		{JournalReader: client.JournalReader{Reader: "embedded", Position: 7, FullCopy: true, Moved: now.Add(-time.Hour)}, Behind: 93, HoldsBack: true},
		{JournalReader: client.JournalReader{Reader: "embedded-node-1", Node: "node-1", Position: 100, FullCopy: true, Moved: now}, Own: true},
	}, now)
	want := `READER           SHARD  NODE    POSITION  BEHIND  MOVED       FULL COPY  NOTE
embedded         0      -       7         93      1h0m0s ago  yes        holds the journal back
embedded-node-1  0      node-1  100       0       0s ago      yes        of the node that was asked
`
	if err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, out.String())
	}
}
