package coordinator

// PinKey is the key of an order about a stream.
var PinKey = pinKey
