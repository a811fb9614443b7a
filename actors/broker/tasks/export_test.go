package tasks

// Pause is the pause after an attempt.
var Pause = Config.pause
