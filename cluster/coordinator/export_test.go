package coordinator

// PinKey is the key of an order about a stream.
var PinKey = pinKey

// Pack is the form of larger documents.
var Pack = pack
