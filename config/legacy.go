package config

// legacyKeys are keys of the documented form that came before this program and
// that are accepted, although they mean something else here, or nothing. Each
// that a file uses is named once at start. docs/configuration.md lists them.
var legacyKeys = map[string]string{
	"scheduler-service.scheduler.check_interval_seconds":   "has no effect: a task fires when it is due, nothing polls",
	"data-storage-service.storage.hot_storage.max_size_mb": "is a size on disk here, not in memory: the oldest rows beyond it are archived early, and none is dropped that is not archived, unless lifecycle.archive is false",
}

// insteadKeys are keys that there never were, that are looked for here, and what does it
// instead. docs/configuration.md lists them.
var insteadKeys = map[string]string{
	"cluster.roles": "which services a node runs is said by the arguments of its start, such as `marketprism start data-storage-service market-data-collector`; without any it runs all six",
}
