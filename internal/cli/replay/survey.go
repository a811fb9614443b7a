package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// survey is what is known of the captures before they are served.
type survey struct {
	sites []*site
	// only is the site of whatever in a capture does not say where it is from.
	only   []*site
	byConn map[connection]*site
	// begin and end are the times of the first and the last frame.
	begin, end int64
	// truncated are the captures that are cut off.
	truncated []string
}

type connection struct {
	capture int
	conn    int64
}

// look reads every capture once.
func look(ctx context.Context, o *Options) (*survey, error) {
	sites, err := newSites(o)
	if err != nil {
		return nil, err
	}
	v := &survey{sites: sites, only: make([]*site, len(o.Captures)), byConn: map[connection]*site{}, begin: math.MaxInt64}
	for i, c := range o.Captures {
		if o.Exchange != "" && len(sites) == 1 {
			v.only[i] = sites[0]
		}
		if err := v.origin(ctx, i, c); err != nil {
			return nil, err
		}
		if v.only[i] == nil {
			return nil, fmt.Errorf("%s: %w", c.Name, ErrVenue)
		}
		if err := v.read(ctx, i, c); err != nil {
			return nil, err
		}
	}
	for _, s := range sites {
		s.settle()
	}
	return v, nil
}

// errEnough ends a pass early.
var errEnough = errors.New("enough")

// origin finds out where a capture is from: its first URL of a known host.
func (v *survey) origin(ctx context.Context, index int, c Capture) error {
	err := v.pass(ctx, index, c, func(r *connectors.CaptureRecord) error {
		if r.URL == "" {
			return nil
		}
		if at, _ := v.at(r.URL); at != nil {
			v.only[index] = at
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// read takes in what a capture holds.
func (v *survey) read(ctx context.Context, index int, c Capture) error {
	var word []byte
	return v.pass(ctx, index, c, func(r *connectors.CaptureRecord) error {
		switch r.Dir {
		case connectors.CaptureOpen:
			if at, _ := v.at(r.URL); at != nil {
				v.byConn[connection{index, r.Conn}] = at
			}
		case connectors.CaptureIn:
			v.begin, v.end = min(v.begin, r.Time), max(v.end, r.Time)
			at := v.of(index, r.Conn)
			at.used = true
			if word = at.replayer.AppendTopic(word[:0], r.Body); len(word) > 0 {
				if t := at.topics[string(word)]; t == nil {
					t = at.topic(string(word))
					t.recorded, t.example = true, append([]byte(nil), r.Body...)
				}
			}
		case connectors.CaptureHTTP:
			return v.response(index, r)
		}
		return nil
	})
}

func (v *survey) response(index int, r *connectors.CaptureRecord) error {
	at, u := v.at(r.URL)
	if at == nil {
		at = v.only[index]
	}
	if u == nil {
		return &connectors.CaptureError{Line: r.Line, Err: fmt.Errorf("%q is no URL", r.URL)}
	}
	at.used = true
	c := at.replayer.Call(u)
	if c.Kind == connectors.NeedInstruments {
		at.list(c.Key, u, r.Body)
		return nil
	}
	sh := at.shelf(c)
	sh.total++
	if sh.first == nil && c.Kind == connectors.NeedSnapshot {
		sh.first = append([]byte(nil), r.Body...)
	}
	return nil
}

// list takes the first recorded list of instruments, or part of it, that a call
// asks for.
func (s *site) list(key string, u *url.URL, body []byte) {
	if s.listings[key] != nil {
		return
	}
	s.listings[key] = append([]byte{}, body...)
	for i, v := range s.venues {
		if req, ok := v.REST.Recognise(u, market.NewInstruments(nil)); !ok || req.Kind != connectors.NeedInstruments {
			continue
		}
		if list, err := v.REST.Instruments(body); err == nil {
			s.listed[i] = append(s.listed[i], list...)
		}
	}
}

func (v *survey) pass(ctx context.Context, index int, c Capture, each func(*connectors.CaptureRecord) error) error {
	t, err := openTape(index, c)
	if err != nil {
		return err
	}
	for {
		rec, err := t.reader.Next()
		if err == nil {
			err = errors.Join(ctx.Err(), each(rec))
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF):
			return t.file.Close()
		case errors.Is(err, errEnough):
			return errors.Join(errEnough, t.file.Close())
		case errors.Is(err, connectors.ErrTruncated):
			if n := len(v.truncated); n == 0 || v.truncated[n-1] != c.Name {
				v.truncated = append(v.truncated, c.Name)
			}
			return t.file.Close()
		}
		return errors.Join(fmt.Errorf("%s: %w", c.Name, err), t.file.Close())
	}
}

// at is the site of a URL; nil when no exchange answers there.
func (v *survey) at(text string) (*site, *url.URL) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, nil
	}
	for _, s := range v.sites {
		if s.serves(u.Hostname()) {
			return s, u
		}
	}
	return nil, u
}

// of is the site of a connection.
func (v *survey) of(capture int, conn int64) *site {
	if at := v.byConn[connection{capture, conn}]; at != nil {
		return at
	}
	return v.only[capture]
}
