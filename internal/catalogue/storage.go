package catalogue

// Metrics of actors/storage.
const (
	ReaderMessages        Name = "mp_reader_messages_total"
	ReaderRecords         Name = "mp_reader_records_total"
	ReaderBacklogWait     Name = "mp_reader_backlog_wait_seconds_total"
	ReaderPublishFailures Name = "mp_reader_publish_failures_total"
	ReaderApplied         Name = "mp_reader_applied_sequence"
	ReaderDurable         Name = "mp_reader_durable_sequence"
	ReaderPublished       Name = "mp_reader_published_sequence"
	ReaderBehind          Name = "mp_reader_behind_seconds"
	WriterWrite           Name = "mp_writer_write_seconds"
	ReaderRegistered      Name = "mp_reader_registered_sequence"
	ReaderFaulted         Name = "mp_reader_faulted"
	ReaderStandby         Name = "mp_reader_standby"
	StorageRequest        Name = "mp_storage_request_seconds"
	StorageLeases         Name = "mp_storage_leases"
	StorageIncomplete     Name = "mp_storage_incomplete"
	StorageAge            Name = "mp_storage_age_seconds"
	StorageCopies         Name = "mp_storage_copies_total"
	StorageCopiedFiles    Name = "mp_storage_copied_files_total"
	StorageCopiedBytes    Name = "mp_storage_copied_bytes_total"

	StorageOperations       Name = "mp_storage_operations_total"
	StorageOperationSeconds Name = "mp_storage_operation_seconds"
	StorageArchivedRows     Name = "mp_storage_archived_rows_total"
	StorageForgottenRows    Name = "mp_storage_removed_rows_total"
	StorageArchiveLag       Name = "mp_storage_archive_lag_seconds"
	ColdUp                  Name = "mp_cold_up"
	ColdFiles               Name = "mp_cold_files"
	ColdBytes               Name = "mp_cold_bytes"
	ColdRows                Name = "mp_cold_rows"
	ColdDeletedRows         Name = "mp_cold_deleted_rows_total"
	ColdDamaged             Name = "mp_cold_damaged_files"
	ColdJoined              Name = "mp_cold_joined_files_total"
	ColdSwept               Name = "mp_cold_swept_files_total"
)

func lifecycle() Area {
	return Area{
		Title: "Archive",
		About: "What moves rows from the hot store to the cold one, and removes what is too old.",
		Metrics: []Metric{
			counter(StorageOperations, Number, "Archives, cleanups, applications of the limits and upkeeps that are over.", job, outcome),
			histogram(StorageOperationSeconds, Seconds, Task, "Time that an operation took.", job),
			counter(StorageArchivedRows, Number, "Rows copied into the cold store, which lists them.", table),
			counter(StorageForgottenRows, Number, "Rows that left the hot store."),
			gauge(StorageArchiveLag, Seconds, "Since when the oldest row that is not archived has been there; 0 where nothing is archived by itself."),
			gauge(ColdUp, Flag, "1 while the cold store answers."),
			gauge(ColdFiles, Number, "Files of the cold store.", table),
			gauge(ColdBytes, Bytes, "Size of the files of the cold store.", table),
			gauge(ColdRows, Number, "Rows of the cold store; a key that several files have counts once, when it was compared.", table),
			gauge(ColdDamaged, Number, "Files of the cold store that are not read, because they are damaged or gone, and damaged pieces of its manifest."),
			counter(ColdJoined, Number, "Files of the cold store that were joined to others."),
			counter(ColdSwept, Number, "Files of the cold store that nothing listed, and that are removed."),
			counter(ColdDeletedRows, Number, "Rows of the cold store that were deleted for their age."),
		},
	}
}

func readers() Area {
	return Area{
		Title: "Readers",
		About: "What brings the journal into the store, one reader a shard, and what answers for the store.",
		Metrics: []Metric{
			counter(ReaderMessages, Number, "Journal messages applied.", stream),
			counter(ReaderRecords, Number, "Records applied.", stream),
			counter(ReaderBacklogWait, Seconds, "Time for which a reader waited for the store to publish.", stream),
			counter(ReaderPublishFailures, Number, "Attempts to publish that failed.", stream),
			gauge(ReaderApplied, Number, "Journal sequence up to which queries see everything.", stream),
			gauge(ReaderPublished, Number, "Journal sequence up to which everything is where it belongs.", stream),
			gauge(ReaderDurable, Number, "Journal sequence up to which that is durable, and saved.", stream),
			gauge(ReaderBehind, Seconds, "Age of the oldest records that are due to be published.", stream),
			histogram(WriterWrite, Seconds, Task, "Time of one attempt to bring a table's records where they belong.", table, outcome),
			gauge(ReaderRegistered, Number, "Journal sequence that the journal may be purged to.", stream),
			gauge(ReaderFaulted, Flag, "1 when a reader has stopped because it cannot read on.", stream),
			gauge(ReaderStandby, Flag, "1 while another node brings the shard into a store that several share.", stream),
			histogram(StorageRequest, Seconds, Task, "Time to answer a request, rows of a query not included.", message, outcome),
			gauge(StorageLeases, Number, "Queries whose rows are open."),
			gauge(StorageIncomplete, Flag, "1 while the store lacks what the journal has forgotten: it is copied from another node, or cannot be.", stream),
			gauge(StorageAge, Seconds, "How long ago a majority of the journal said that it had no more than queries see.", stream),
			counter(StorageCopies, Number, "Attempts to copy from another node what the journal has forgotten.", stream, outcome),
			counter(StorageCopiedFiles, Number, "Files that were copied from other nodes."),
			counter(StorageCopiedBytes, Bytes, "Bytes that were copied from other nodes."),
		},
	}
}

// Metrics of the engines below persistence.
const (
	WriterRows         Name = "mp_writer_rows_total"
	WriterBatches      Name = "mp_writer_batches_total"
	WriterBytes        Name = "mp_writer_bytes_total"
	WriterBatchRows    Name = "mp_writer_batch_rows"
	WriterFlush        Name = "mp_writer_flush_seconds"
	WriterQueue        Name = "mp_writer_queue_rows"
	WriterRetries      Name = "mp_writer_retries_total"
	WriterDropped      Name = "mp_writer_dropped_total"
	WriterSuspended    Name = "mp_writer_suspended_tables"
	StorageParts       Name = "mp_storage_parts"
	StorageBytes       Name = "mp_storage_bytes"
	StorageQuarantined Name = "mp_storage_quarantined_parts"
	StorageMerge       Name = "mp_storage_merge_seconds"
	StorageRowsRead    Name = "mp_storage_rows_read_total"
)

func store() Area {
	return Area{
		Title: "Store",
		About: "The engine. A publication makes what was applied durable: as one part file a table (embedded), or by sending it (QuestDB).",
		Metrics: []Metric{
			counter(WriterRows, Number, "Records applied to the store.", table),
			counter(WriterBatches, Number, "Journal messages applied to the store."),
			counter(WriterBytes, Bytes, "Bytes of published parts, merged ones not counted again.", table),
			histogram(WriterBatchRows, Number, Size, "Records of one publication."),
			histogram(WriterFlush, Seconds, Task, "Time of one publication."),
			gauge(WriterQueue, Number, "Records applied and not yet published."),
			counter(WriterRetries, Number, "Publications that failed and are repeated."),
			gauge(WriterSuspended, Number, "Tables that the QuestDB server has suspended."),
			counter(WriterDropped, Number, "Records dropped: superseded by a later epoch, by another record of the same key, or rejected by the server and kept elsewhere.", outcome),
			gauge(StorageParts, Number, "Published part files.", table),
			gauge(StorageBytes, Bytes, "Size of the published part files.", table),
			gauge(StorageQuarantined, Number, "Damaged part files that were moved aside."),
			histogram(StorageMerge, Seconds, Task, "Time of merging parts into one."),
			counter(StorageRowsRead, Number, "Records returned by queries.", table),
		},
	}
}
