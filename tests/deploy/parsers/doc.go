// Package parsers reads what is in deploy/ as the programs do that it is written for:
// compose.yaml by compose-go, the Dockerfile by BuildKit, the Kubernetes manifests by the
// types of its API. It is a module of its own, so that the product needs none of them;
// project/ prints what the tests outside of it ask.
package parsers
