// Package event is the vocabulary of what the program says of its own life: one
// CloudEvent 1.0 for each thing that happens, published below system.> by whoever
// holds a [Publisher]. [Kinds] is the list; docs/asyncapi.yaml is written from it.
package event
