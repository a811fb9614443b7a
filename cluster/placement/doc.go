// Package placement decides which node of a cluster collects which stream. It does no
// I/O, reads no clock and draws no numbers: the same streams, nodes and plan before
// give the same plan, on every node and at every time.
//
// # What decides, in this order
//
//  1. What is possible. A node has streams only of markets that it runs, and what one
//     address may have of a market ([Limits]) is never exceeded, by all nodes of that
//     address together. A stream that fits nowhere is named as unplaced, and nobody has it.
//  2. Pins. What an operator has put somewhere is there while that is possible.
//  3. Least moves. A stream stays where it is, unless its node is gone or drains, or a
//     node has joined that ranks first for it: of n nodes a new one takes its share of
//     the others, and nothing else moves.
//  4. Rank. Each node has a rank for each stream, a hash of both weighted by the node's
//     weight (rendezvous hashing): of those that have room the first gets it.
//  5. Balance. Nothing moves while every node has what its weight deserves within the
//     tolerance; beyond it, as little as brings all within half of it.
package placement
