// Package placement decides which node of a cluster collects which stream. It does no
// I/O, reads no clock and draws no numbers: the same streams, nodes and plan before
// give the same plan, on every node and at every time.
//
// # What decides, in this order
//
//  1. Limits. What one address may have of an exchange's market ([Limits]) is never
//     exceeded. A stream that fits nowhere is named as unplaced, and nobody has it.
//  2. Least moves. A stream stays where it is, unless its node is gone or drains, or a
//     node has joined that ranks first for it: of n nodes a new one takes its share of
//     the others, and nothing else moves.
//  3. Rank. Each node has a rank for each stream, a hash of both weighted by the node's
//     weight (rendezvous hashing): of those that have room the first gets it.
//  4. Balance. Nothing moves while every node has what its weight deserves within the
//     tolerance; beyond it, as little as brings all within half of it.
package placement
