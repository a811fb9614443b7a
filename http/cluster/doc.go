// Package cluster is the façade of the cluster: who is there, who has which stream, and
// what operators order of nodes. It is served by the monitoring-service; each collector
// says how it stands itself.
//
// It holds no state: what it answers is read from the plan, from who is announced, and
// from the nodes, anew for each request.
package cluster
