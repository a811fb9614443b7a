package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
)

// maxRefusal is how much of an answer that says no is read.
const maxRefusal = 64 << 10

// ask prints what the running service answers, and returns the cursor behind it.
func (o *queryOptions) ask(ctx context.Context, s streams, w *output) (next string, err error) {
	base, err := o.find(ctx, s)
	if err != nil {
		return "", err
	}
	at := base + "/api/v1/storage/query/" + url.PathEscape(o.kind.String()) + "/" + url.PathEscape(o.exchange) + "/" + url.PathEscape(o.symbol) + "?" + o.values().Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", usage("--url %q: %w", o.url, err)
	}
	res, err := do(req)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return "", fmt.Errorf("nobody answers at %s: start the node, or read its data directory with --data DIR", base)
		}
		return "", err
	}
	defer res.Body.Close() // it is read as far as it counts
	if res.StatusCode != http.StatusOK {
		return "", refused(base, res)
	}
	printed, err := io.Copy(w, res.Body)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "", fmt.Errorf("the answer of %s was cut off after %d bytes: it is not complete, and its log says why (request %s)", base, printed, res.Header.Get("X-Request-Id"))
	case err != nil:
		return "", fmt.Errorf("reading the answer of %s: %w", base, err)
	}
	if n := res.Trailer.Get("X-Files-Missing"); n != "" {
		fmt.Fprintf(s.err, "marketprism: %s damaged files were set aside: what they held of this is not printed; see %s/health\n", n, base)
	}
	return res.Trailer.Get("X-Next-Cursor"), nil
}

// values are the parameters of the request.
func (o *queryOptions) values() url.Values {
	v := url.Values{"format": {o.format}}
	for name, text := range map[string]string{
		"from": o.from, "to": o.to, "market": o.market, "origin": o.origin, "tier": o.tier, "cursor": o.cursor, "fields": strings.Join(o.fields, ","),
	} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if o.limit > 0 {
		v.Set("limit", strconv.Itoa(o.limit))
	}
	if o.newest {
		v.Set("order", "desc")
	}
	if o.exact {
		v.Set("exact", "true")
	}
	return v
}

// refused makes an error of an answer that says no. What is wrong with the request is
// wrong usage.
func refused(base string, res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	var p struct {
		Detail string `json:"detail"`
		Errors []struct {
			Pointer string `json:"pointer"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if err != nil || json.Unmarshal(body, &p) != nil || p.Detail == "" {
		p.Detail = http.StatusText(res.StatusCode)
	}
	said := p.Detail
	for _, e := range p.Errors {
		said += fmt.Sprintf("; %s %s", strings.TrimPrefix(e.Pointer, "/"), e.Message)
	}
	failure := fmt.Errorf("%s answered %d: %s", base, res.StatusCode, said)
	if res.StatusCode/100 == 4 && res.StatusCode != http.StatusTooManyRequests {
		return &exitError{ExitUsage, failure}
	}
	if after := res.Header.Get("Retry-After"); after != "" {
		return fmt.Errorf("%w; try again in %s s", failure, after)
	}
	return failure
}
