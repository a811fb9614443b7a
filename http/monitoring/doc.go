// Package monitoring is the façade of the monitoring-service. In this version it
// shows the supervision tree, as it is and as it changes; the aggregate over
// services, alerts and the Prometheus interface answer 501.
//
// It holds no state: the tree is its own registry, and may be read at any time
// without asking an actor. A follower of events that is too slow loses none: the
// history fills the holes, as far as it reaches.
package monitoring
