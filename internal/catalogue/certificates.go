package catalogue

// Metrics of internal/certs.
const (
	CertificateExpiry  Name = "mp_certificate_expiry_timestamp_seconds"
	AuthorityExpiry    Name = "mp_certificate_authority_expiry_timestamp_seconds"
	CertificateReloads Name = "mp_certificate_reloads_total"
)

func certificates() Area {
	return Area{
		Title:    "Certificates",
		Optional: true,
		About:    "The certificate that this node shows, and the authorities that it trusts. None of them is there without `node.tls`.",
		Metrics: []Metric{
			gauge(CertificateExpiry, Seconds, "When the certificate in use ends, by what it is for: `node`.", kind),
			gauge(AuthorityExpiry, Seconds, "When the first of the authorities that are trusted ends, by what it is for.", kind),
			counter(CertificateReloads, Number, "Changed certificate files that were put into use (`taken`), or could not be (`refused`).", kind, outcome),
		},
	}
}
