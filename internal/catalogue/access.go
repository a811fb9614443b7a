package catalogue

// Metrics of actors/audit, actors/gateway/access and http/chassis.
const (
	AuditEntries     Name = "mp_audit_entries_total"
	AuthAttempts     Name = "mp_auth_attempts_total"
	AuthHashing      Name = "mp_auth_password_hash_seconds"
	AuthHashingQueue Name = "mp_auth_password_hashes_waiting"
	AuthCache        Name = "mp_auth_token_cache_total"
	AuthUsers        Name = "mp_auth_users"
	AuthKeys         Name = "mp_auth_api_keys"
	IdentityChecks   Name = "mp_http_identity_checks_total"
)

func access() Area {
	return Area{
		Title: "Access",
		About: "Who was let in, who was not, and what was put down of it.",
		Metrics: []Metric{
			counter(AuditEntries, Number, "Entries of the audit log: recorded, retried (a publication that failed), or dropped into the program's log.", outcome),
			counter(AuthAttempts, Number,
				"Credentials that were shown at the gateway, by kind (password, refresh, token, apikey, none) and what became of them (accepted, refused, throttled, forbidden, unavailable).", kind, outcome),
			histogram(AuthHashing, Seconds, Commit, "Time that a password took to hash, waiting for its turn included."),
			gauge(AuthHashingQueue, Number, "Passwords that wait for their turn to be hashed."),
			counter(AuthCache, Number, "Looks into the cache of verified tokens: hit or miss.", outcome),
			gauge(AuthUsers, Number, "Users that there are: enabled or disabled.", outcome),
			gauge(AuthKeys, Number, "API keys that are neither revoked nor expired."),
			counter(IdentityChecks, Number,
				"Requests to services that demand an identity, by who sent them: client (through the gateway), service, node (by certificate), nobody (an open route) or refused.", service, outcome),
		},
	}
}
