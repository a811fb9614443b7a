/** How complete streams are, as the collector says. */

export interface Gap { channel: string; from_seq: number | null; to_seq: number | null; from_time: string | null; to_time: string | null; cause: string; outcome: 'open' | 'healed' | 'marked'; healed_records: number }

export interface Channel { kind: string; proof: string; records: number; verified_records: number; gaps: number; open_gaps: number; healed_gaps: number; duplicates: number; resyncs: number; checksums_wrong: number; first_seq: number | null; last_seq: number | null; last_time: string | null; last_received: string | null }

/** What all channels of a stream have together. */
export interface Sum { records: number; gaps: number; open_gaps: number; last_received: string | null }

/** A list of streams has their sums, one stream its channels. */
export interface Stream { exchange: string; market: string; symbol: string; coverage_percent: number | null; verified_percent: number | null; from: string; live: boolean; book_state: string; resyncs: number; channels: Channel[]; sum?: Sum; gaps: Gap[]; source: string; source_reason?: string }

export interface Quality { streams: Stream[]; count: number }

export interface Bucket { start: string; seconds: number; coverage_percent: number | null; verified_percent: number | null; records: number; gaps: number }
export interface OneQuality extends Stream { buckets?: Bucket[] }
