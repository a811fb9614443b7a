package notify

import (
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// Keys of documents in the bucket.
const (
	silencePrefix = "silence."
	logPrefix     = "log."
	activePrefix  = "active."
	historyKey    = "history"
)

// entryKey is the key of what a destination was told of a group.
func entryKey(destination, groupKey string) string {
	return logPrefix + strconv.FormatUint(xxhash.Sum64String(destination+"\xff"+groupKey), 16)
}

func activeKey(f alert.Fingerprint) string { return activePrefix + f.String() }

// silenceIDOf is the silence that a key is of.
func silenceIDOf(key string) string { return strings.TrimPrefix(key, silencePrefix) }
