package doctor

import (
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/certs"
)

// soon is how long before its end a certificate is worth a warning.
const soon = 14 * 24 * time.Hour

// Certificate looks at the files of node.tls.
func Certificate(c certs.Config, now time.Time) Finding {
	f := Finding{Check: "certificate", Verdict: Pass}
	expires, err := certs.Check(c, now)
	switch {
	case err != nil:
		f.Verdict, f.Detail = Fail, strings.ReplaceAll(err.Error(), "\n", "; ")
		f.Fix = "correct the files of node.tls; `marketprism certs issue` makes new ones"
	case expires.Sub(now) < soon:
		f.Verdict, f.Detail = Warn, c.CertFile+" ends on "+expires.UTC().Format(time.RFC3339)
		f.Fix = "replace it; with an authority of `marketprism certs`: marketprism certs issue NODE --renew"
	default:
		f.Detail = c.CertFile + " is good until " + expires.UTC().Format(time.DateOnly)
	}
	return f
}
