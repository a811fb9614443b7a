package catalogue

// Metrics of actors/collector, and the last part of a tick's way, which
// actors/storage measures.
const (
	StreamUp                Name = "mp_stream_up"
	StreamLastMessage       Name = "mp_stream_last_message_timestamp_seconds"
	StreamMessages          Name = "mp_stream_messages_total"
	StreamPublished         Name = "mp_stream_published_total"
	StreamGaps              Name = "mp_stream_sequence_gaps_total"
	StreamResyncs           Name = "mp_stream_resyncs_total"
	StreamDuplicates        Name = "mp_stream_duplicates_total"
	StreamChecksumFailures  Name = "mp_stream_checksum_failures_total"
	StreamRefused           Name = "mp_stream_refused_total"
	StreamUnrecorded        Name = "mp_stream_unrecorded_total"
	StreamReconnects        Name = "mp_stream_reconnects_total"
	StreamBytes             Name = "mp_stream_bytes_total"
	StreamParseErrors       Name = "mp_stream_parse_errors_total"
	StreamUnrouted          Name = "mp_stream_unrouted_total"
	StreamSessions          Name = "mp_stream_sessions"
	StreamBuiltin           Name = "mp_stream_builtin_instruments"
	StreamSilences          Name = "mp_stream_silences_total"
	StreamSilent            Name = "mp_stream_silent_subscriptions"
	StreamRemedies          Name = "mp_stream_silence_remedies_total"
	StreamBacklog           Name = "mp_stream_backlog_bytes"
	StreamClockOffset       Name = "mp_stream_clock_offset_seconds"
	StreamRateLimit         Name = "mp_stream_rate_limit_remaining_ratio"
	BackfillRecords         Name = "mp_backfill_records_total"
	BackfillCalls           Name = "mp_backfill_calls_total"
	BackfillFailures        Name = "mp_backfill_failures_total"
	BackfillsUnderWay       Name = "mp_backfills_under_way"
	StreamExchangeToReceive Name = "mp_stream_exchange_to_receive_seconds"
	StreamReceiveToPublish  Name = "mp_stream_receive_to_publish_seconds"
	StreamPublishToStore    Name = "mp_stream_publish_to_store_seconds"
)

func streams() Area {
	return Area{
		Title: "Streams",
		About: "One stream is one instrument of one market. Sockets are shared, so what they count is by market. " +
			"The three histograms are the way of a tick: from the exchange to us, to the live plane, to the store.",
		Metrics: []Metric{
			gauge(StreamUp, Flag, "1 while everything subscribed arrives and the book, if any, is proven.", exchange, market, symbol),
			gauge(StreamLastMessage, Seconds, "When the newest frame was read, in Unix time.", exchange, market, symbol),
			counter(StreamMessages, Number, "Frames handled.", exchange, market, symbol),
			counter(StreamPublished, Number, "Records put on the live plane.", exchange, market, symbol),
			counter(StreamGaps, Number, "Gaps opened in the ledger.", exchange, market, symbol),
			counter(StreamResyncs, Number, "Books begun anew.", exchange, market, symbol),
			counter(StreamDuplicates, Number, "Records that came twice.", exchange, market, symbol),
			counter(StreamChecksumFailures, Number, "Books whose checksum did not match.", exchange, market, symbol),
			counter(StreamRefused, Number, "Frames that the stream's queue did not take.", exchange, market, symbol),
			counter(StreamUnrecorded, Number, "Records that the journal refused.", exchange, market, symbol),
			counter(StreamReconnects, Number, "Connections lost and made again.", exchange, market),
			counter(StreamBytes, Bytes, "Bytes of frames received.", exchange, market),
			counter(StreamParseErrors, Number, "Frames that could not be decoded.", exchange, market),
			counter(StreamUnrouted, Number, "Frames of instruments that have no stream.", exchange, market),
			gauge(StreamSessions, Number, "Sockets that are subscribed.", exchange, market),
			gauge(StreamBuiltin, Flag, "1 while the instrument table is the built-in one.", exchange, market),
			counter(StreamSilences, Number, "Subscriptions that fell silent.", exchange, market),
			gauge(StreamSilent, Number, "Subscriptions that are silent, though they were asked for again.", exchange, market),
			counter(StreamRemedies, Number, "What was done about silent subscriptions, counted by subscription: `reminded`, `resubscribed`, `replaced` (the socket).", exchange, market, outcome),
			gauge(StreamBacklog, Bytes, "Memory of deliveries that wait for all streams, of records that streams hold while they resume, and of those that fill up entries for the journal."),
			gauge(StreamClockOffset, Seconds, "How far the exchange's clock is ahead of ours, by the Date of its REST responses.", exchange, market),
			gauge(StreamRateLimit, Ratio, "What is left of the REST budget of the present window.", exchange, market),
			counter(BackfillRecords, Number, "Records of the past that were fetched because somebody asked.", exchange, market),
			counter(BackfillCalls, Number, "Calls made for them.", exchange, market),
			counter(BackfillFailures, Number, "Backfills that failed.", exchange, market),
			gauge(BackfillsUnderWay, Number, "Backfills that run or wait.", exchange, market),
			histogram(StreamExchangeToReceive, Seconds, Latency,
				"Time from the exchange's event to our reading of the frame, by both clocks.", exchange, market, channel),
			histogram(StreamReceiveToPublish, Seconds, Latency,
				"Time from the reading of a frame to its records being on the live plane.", exchange, market, channel),
			histogram(StreamPublishToStore, Seconds, Task,
				"Time from the journal's taking of a batch to its being visible to queries, by stream of the journal.", stream),
		},
	}
}
