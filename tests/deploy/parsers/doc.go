// Package parsers is tests only: of deploy/compose.yaml by compose-go, of the Dockerfile
// by BuildKit, of the Kubernetes manifests by the types of its API.
package parsers
