package catalogue

// Metrics of http/chassis.
const (
	HTTPRequests Name = "mp_http_requests_total"
	HTTPRequest  Name = "mp_http_request_seconds"
	HTTPInFlight Name = "mp_http_requests_in_flight"
	HTTPPanics   Name = "mp_http_panics_total"
)

func servers() Area {
	return Area{
		Title: "HTTP",
		About: "Rate, errors and duration of every service, by route.",
		Metrics: []Metric{
			counter(HTTPRequests, Number,
				"HTTP requests answered, by route pattern and status; 499 is a client that left before the answer.", service, route, code),
			histogram(HTTPRequest, Seconds, Latency,
				"Time from a request's header to the end of its answer, by route pattern.", service, route),
			gauge(HTTPInFlight, Number, "HTTP requests under way, streams included.", service),
			counter(HTTPPanics, Number, "HTTP handlers that panicked.", service),
		},
	}
}
