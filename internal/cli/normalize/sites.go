package normalize

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
)

// site is where frames come from: the markets that share a host.
type site struct {
	venues []*connectors.Venue
	feeds  []*feed.Feed
	tables []*market.Instruments
}

// sites finds the site of a connection or a call.
type sites struct {
	list   []*site
	byHost map[string]*site
	byConn map[int64]*site
	// depths are the levels of a venue's snapshots.
	depths map[*connectors.Venue]int
	// only is the site of whatever does not say where it is from.
	only *site
}

// newSites lists the sites of the exchanges, restricted by name and market where
// those are given.
func newSites(all []connectors.Exchange, exchange, mkt string) (*sites, error) {
	s := &sites{byHost: map[string]*site{}, byConn: map[int64]*site{}, depths: map[*connectors.Venue]int{}}
	for _, x := range all {
		if exchange != "" && x.Name() != exchange {
			continue
		}
		for _, m := range market.Markets() {
			cfg, has := x.DefaultConfig().Markets[m.String()]
			if !has || (mkt != "" && mkt != m.String()) {
				continue
			}
			v, err := x.Venue(m, cfg)
			if err != nil {
				return nil, err
			}
			s.depths[v] = cfg.Depth
			s.add(v)
		}
	}
	if exchange != "" && len(s.list) == 0 {
		return nil, fmt.Errorf("no market %q of exchange %q is known", mkt, exchange)
	}
	if exchange != "" && mkt != "" {
		s.only = s.list[0]
	}
	return s, nil
}

func (s *sites) add(v *connectors.Venue) {
	for _, host := range v.Hosts {
		if at := s.byHost[host]; at != nil {
			if !slices.Contains(at.venues, v) {
				at.venues = append(at.venues, v)
			}
			for _, h := range v.Hosts {
				s.byHost[h] = at
			}
			return
		}
	}
	at := &site{venues: []*connectors.Venue{v}}
	s.list = append(s.list, at)
	for _, h := range v.Hosts {
		s.byHost[h] = at
	}
}

// at is the site of a URL; nil when no exchange answers there.
func (s *sites) at(text string) (*site, *url.URL) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, nil
	}
	return s.byHost[u.Hostname()], u
}

// of is the site of a connection.
func (s *sites) of(conn int64) *site {
	if at := s.byConn[conn]; at != nil {
		return at
	}
	return s.only
}
