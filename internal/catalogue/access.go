package catalogue

// Metrics of actors/audit.
const (
	AuditEntries Name = "mp_audit_entries_total"
)

func access() Area {
	return Area{
		Title: "Access",
		About: "Who was let in, who was not, and what was put down of it.",
		Metrics: []Metric{
			counter(AuditEntries, Number, "Entries of the audit log: recorded, retried (a publication that failed), or dropped into the program's log.", outcome),
		},
	}
}
