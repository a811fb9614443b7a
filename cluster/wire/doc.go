// Package wire is what nodes say to each other over remoting: protobuf messages, whose
// rules of change are at the head of control.proto. testdata has the bytes of every
// message as they were first written; they decode for ever.
package wire

//go:generate go run ./gen
