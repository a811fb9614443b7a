package catalogue

// Metrics of actors/journal.
const (
	RecorderEntries     Name = "mp_recorder_entries_total"
	RecorderNoCredit    Name = "mp_recorder_no_credit_total"
	RecorderProbes      Name = "mp_recorder_probes_total"
	RecorderAcknowledge Name = "mp_recorder_acknowledge_seconds"
	RecorderBatch       Name = "mp_recorder_batch_entries"
	RecorderCreditUsed  Name = "mp_recorder_credit_used_bytes"
	RecorderCreditLimit Name = "mp_recorder_credit_limit_bytes"
	RecorderAccepting   Name = "mp_recorder_accepting"
)

func recorders() Area {
	return Area{
		Title: "Recorders",
		About: "What takes entries and writes them to the journal, one recorder a shard.",
		Metrics: []Metric{
			counter(RecorderEntries, Number, "Entries recorded, by what became of them.", stream, outcome),
			counter(RecorderNoCredit, Number, "Entries refused because too much was on its way already.", stream),
			counter(RecorderProbes, Number, "Probes of a journal that refused, by outcome.", stream, outcome),
			histogram(RecorderAcknowledge, Seconds, Commit, "Time from recording an entry to its acknowledgement.", stream),
			histogram(RecorderBatch, Number, Size, "Entries in a batch.", stream),
			gauge(RecorderCreditUsed, Bytes, "Memory of the entries on their way.", stream),
			gauge(RecorderCreditLimit, Bytes, "Memory that entries on their way may take.", stream),
			gauge(RecorderAccepting, Flag, "1 when the recorder takes entries.", stream),
		},
	}
}

// Metrics of persistence/journal.
const (
	JournalBatches        Name = "mp_journal_batches_total"
	JournalRows           Name = "mp_journal_rows_total"
	JournalPayloadBytes   Name = "mp_journal_payload_bytes_total"
	JournalStoredBytes    Name = "mp_journal_stored_bytes_total"
	JournalRefusals       Name = "mp_journal_refusals_total"
	JournalAbandoned      Name = "mp_journal_abandoned_total"
	JournalPublish        Name = "mp_journal_publish_seconds"
	JournalAcknowledged   Name = "mp_journal_acknowledged_sequence"
	JournalReadBatches    Name = "mp_journal_read_batches_total"
	JournalReadBytes      Name = "mp_journal_read_bytes_total"
	JournalRepeats        Name = "mp_journal_repeats_total"
	JournalReaderReopened Name = "mp_journal_reader_reopened_total"
	JournalFaults         Name = "mp_journal_faults_total"
	JournalReaderSequence Name = "mp_journal_reader_sequence"
	JournalReaderLag      Name = "mp_journal_reader_lag_messages"
	JournalFirstSequence  Name = "mp_journal_first_sequence"
	JournalLastSequence   Name = "mp_journal_last_sequence"
	JournalStreamBytes    Name = "mp_journal_stream_bytes"
	JournalStreamLimit    Name = "mp_journal_stream_limit_bytes"
	JournalPurged         Name = "mp_journal_purged_messages_total"
	JournalUnregistered   Name = "mp_journal_readers_unregistered_total"
)

func journal() Area {
	return Area{
		Title: "Journal",
		About: "The write-ahead log, one JetStream stream a shard.",
		Metrics: []Metric{
			counter(JournalBatches, Number, "Batches acknowledged.", stream),
			counter(JournalRows, Number, "Rows acknowledged.", stream),
			counter(JournalPayloadBytes, Bytes, "Uncompressed bytes sealed into batches.", stream),
			counter(JournalStoredBytes, Bytes, "Message bytes acknowledged.", stream),
			counter(JournalRefusals, Number, "Attempts to write that were not acknowledged, by outcome.", stream, outcome),
			counter(JournalAbandoned, Number, "Batches given up.", stream),
			histogram(JournalPublish, Seconds, Commit, "Time from a publish to its acknowledgement.", stream),
			gauge(JournalAcknowledged, Number, "Stream sequence of the last acknowledged batch of this process.", stream),
			counter(JournalReadBatches, Number, "Batches read.", stream),
			counter(JournalReadBytes, Bytes, "Uncompressed bytes read.", stream),
			counter(JournalRepeats, Number, "Batches dropped because their number was read before.", stream),
			counter(JournalReaderReopened, Number, "Consumers made again after a lost connection, server or consumer.", stream),
			counter(JournalFaults, Number, "Readers stopped because the journal cannot be read on.", stream),
			gauge(JournalReaderSequence, Number, "Stream sequence read last.", stream),
			gauge(JournalReaderLag, Number, "Messages behind the end when the last one was read.", stream),
			gauge(JournalFirstSequence, Number, "First stream sequence stored.", stream),
			gauge(JournalLastSequence, Number, "Last stream sequence stored.", stream),
			gauge(JournalStreamBytes, Bytes, "Bytes stored.", stream),
			gauge(JournalStreamLimit, Bytes, "Bytes at which the stream refuses.", stream),
			counter(JournalPurged, Number, "Messages purged.", stream),
			counter(JournalUnregistered, Number, "Readers unregistered because they fell far behind another full copy.", stream),
		},
	}
}
