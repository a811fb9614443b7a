package catalogue

// Metrics of actors/gateway.
const (
	GatewayRequests   Name = "mp_gateway_requests_total"
	GatewayUpstream   Name = "mp_gateway_upstream_seconds"
	GatewayRefused    Name = "mp_gateway_refused_total"
	GatewayRepeats    Name = "mp_gateway_repeats_total"
	GatewayInstances  Name = "mp_gateway_instances"
	GatewayUnder      Name = "mp_gateway_upstream_in_flight"
	GatewayTrips      Name = "mp_gateway_breaker_trips_total"
	GatewayEjections  Name = "mp_gateway_ejections_total"
	GatewayBreakers   Name = "mp_gateway_breakers_open"
	GatewayInFlight   Name = "mp_gateway_requests_in_flight"
	GatewayStreams    Name = "mp_gateway_streams_in_flight"
	GatewayClients    Name = "mp_gateway_clients"
	GatewayForgotten  Name = "mp_gateway_clients_forgotten_total"
	GatewayCache      Name = "mp_gateway_cache_total"
	GatewayCacheBytes Name = "mp_gateway_cache_bytes"
)

func gateway() Area {
	return Area{
		Title: "Gateway",
		About: "Requests that go through the gateway, what becomes of them, and the instances that they are sent to. The service is the one that they are for.",
		Metrics: []Metric{
			counter(GatewayRequests, Number, "Requests that were sent on: answered, not_reached, broken, timed_out or client_left.", service, outcome),
			histogram(GatewayUpstream, Seconds, Latency, "Time from when a request was sent on until its answer began, repetitions included.", service),
			counter(GatewayRefused, Number,
				"Requests that were refused: rate, quota, overload, streams, credentials, unknown, unhealthy, breaker or loop.", outcome),
			counter(GatewayRepeats, Number, "Requests that were sent a further time."),
			gauge(GatewayInstances, Number, "Instances by how they are: unknown, healthy, unhealthy or ejected.", service, outcome),
			gauge(GatewayUnder, Number, "Requests under way at the instances of a service.", service),
			counter(GatewayTrips, Number, "Times that a circuit breaker of an instance has opened.", service),
			counter(GatewayEjections, Number, "Times that an instance was set aside because its requests failed and others' did not.", service),
			gauge(GatewayBreakers, Number, "Circuit breakers that are not closed.", service),
			gauge(GatewayInFlight, Number, "Requests under way, without streams."),
			gauge(GatewayStreams, Number, "WebSockets and event streams under way."),
			gauge(GatewayClients, Number, "Clients whose rate is remembered."),
			counter(GatewayForgotten, Number, "Clients whose rate was forgotten early because there were too many."),
			counter(GatewayCache, Number, "Lookups in the answers that are kept: hit or miss.", outcome),
			gauge(GatewayCacheBytes, Bytes, "Memory of the answers that are kept."),
		},
	}
}
