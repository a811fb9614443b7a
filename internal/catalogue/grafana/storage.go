package grafana

import (
	"fmt"

	"github.com/marketprism/marketprism/internal/catalogue"
)

func storagePage() Page {
	var f filters
	return Page{
		UID: "marketprism-storage", Title: "MarketPrism / Storage and QuestDB",
		About: "From the recorder through the journal into the hot store, and on into the cold one.",
		Areas: []string{"Recorders", "Journal", "Readers", "Store", "Archive"},
		Rows: []Row{
			{Title: "At a glance", Panels: []Panel{
				number("Rows acknowledged", "By the journal: on the disk.", f.rate(catalogue.JournalRows)),
				number("Recorders that take entries", "", f.value("min", catalogue.RecorderAccepting)).below(1),
				number("Journal full", "Of its limit.", f.value("max", catalogue.JournalStreamBytes).over(f.value("max", catalogue.JournalStreamLimit), "percentunit")).from(0.8),
				number("Readers behind", "Age of the oldest records that are due to be published.", f.value("max", catalogue.ReaderBehind)).from(120),
				number("Not archived since", "", f.value("max", catalogue.StorageArchiveLag)).from(2 * 86400),
				number("Damaged files", "Of both stores.", f.value("sum", catalogue.ColdDamaged).orZero().plus(f.value("sum", catalogue.StorageQuarantined).orZero())).from(1),
			}},
			{Title: "Journal", Panels: []Panel{
				lines("Rows and batches", "Acknowledged.", f.rate(catalogue.JournalRows, "stream").called("rows"), f.rate(catalogue.JournalBatches, "stream").called("batches")),
				lines("Until acknowledged", "From recording an entry; half, and one in a hundred, take longer.",
					f.quantile(0.5, catalogue.RecorderAcknowledge, "stream").called("half"), f.quantile(0.99, catalogue.RecorderAcknowledge, "stream").called("1 in 100")),
				lines("Size and limit", "Full, it refuses.", f.value("max", catalogue.JournalStreamBytes, "stream").called("used"), f.value("max", catalogue.JournalStreamLimit, "stream").called("limit")),
				lines("Memory of entries on their way", "", f.value("max", catalogue.RecorderCreditUsed, "stream").called("used"), f.value("max", catalogue.RecorderCreditLimit, "stream").called("limit")),
				lines("Reader's distance to the end", "Journal messages.", f.value("max", catalogue.JournalReaderLag, "stream")),
				lines("Bytes", "Of messages, compressed, and before that.", f.rate(catalogue.JournalStoredBytes, "stream").called("stored"), f.rate(catalogue.JournalPayloadBytes, "stream").called("payload")),
			}},
			{Title: "Hot store", Panels: []Panel{
				lines("Rows applied", "", f.rate(catalogue.WriterRows, "table").top(12)),
				lines("Waiting to be published", "Rows.", f.value("max", catalogue.WriterQueue, "instance")),
				lines("Time of a publication", "", f.quantile(0.5, catalogue.WriterFlush).called("half"), f.quantile(0.99, catalogue.WriterFlush).called("1 in 100")),
				lines("Size", "", f.value("max", catalogue.StorageBytes, "table").top(12)),
				lines("Visible to queries", "One batch in a hundred is later.", f.quantile(0.99, catalogue.StreamPublishToStore, "stream")),
				lines("Publications that are repeated", "", f.rate(catalogue.WriterRetries)),
			}},
			{Title: "Cold store", Panels: []Panel{
				lines("Rows archived", "", f.rate(catalogue.StorageArchivedRows, "table")),
				lines("Rows", "", f.value("max", catalogue.ColdRows, "table")),
				lines("Size", "", f.value("max", catalogue.ColdBytes, "table")),
			}},
			{Title: "QuestDB server", Folded: true, Panels: []Panel{
				lines("Rows committed", "Of the server, where there is one.", questdb("sum by (instance) (rate(questdb_committed_rows_total%s["+window+"]))", "cps")),
				lines("Rows applied to tables", "Behind what is committed where WAL application lags.", questdb("sum by (instance) (rate(questdb_wal_apply_physically_written_rows_total%s["+window+"]))", "cps")),
				lines("Memory", "", questdb("max by (instance) (questdb_memory_mem_used%s)", "bytes")),
			}},
		},
	}
}

// questdb asks for a metric of the QuestDB server itself, which is no instance of ours;
// the expression has %s where the selector goes.
func questdb(expr, unit string) Query {
	return Query{Expr: fmt.Sprintf(expr, `{job="questdb"}`), Legend: "{{instance}}", Unit: unit}
}
