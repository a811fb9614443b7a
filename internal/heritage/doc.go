// Package heritage holds the JSON that nodes of different versions read of each other to its
// form: what they say to each other, and the documents in buckets that all of them read.
// It is for tests.
//
// Of each form testdata/kept/NAME.jsonl has a line for each version that wrote something
// new, as it wrote it with every field set. A line is never changed and never removed
// while a program that wrote it may still run. [Check] holds three things:
//
//   - this program reads every line whole: nothing of it is lost when it is written again;
//   - fields that this program does not know change nothing;
//   - whatever the newest line has this program still writes, as the same kind of value:
//     a field is added, never renamed, retyped, or left out.
//
// A field that no line has fails the test until it is kept: go test PACKAGE -freeze.
package heritage
