package collector

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Reconfigure takes other settings of the exchanges up, while everything runs.
// Streams and sessions that stay are not touched.
//
// What changes at once: whether an exchange or a market is enabled, its symbols,
// data types and top, how much REST weight and how many connection attempts it may
// cost; and all settings of a market that was or becomes disabled. Every other setting of a market that stays enabled needs a restart, and the
// collector goes on with the old one; disabling and enabling the market does it
// too. Paths are those of the configuration: "exchanges.binance.markets.spot.depth".
//
// An error says that a setting is wrong, and then nothing has changed; or that a
// market did not take its settings, and then taken lists what was.
func (c *Collector) Reconfigure(ctx context.Context, exchanges []Exchange) (taken, needRestart []string, err error) {
	c.reconfiguring.Lock()
	defer c.reconfiguring.Unlock()
	var plan []reconfiguration
	var errs []error
	for _, x := range exchanges {
		if err := x.Config.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", x.Name(), err))
			continue
		}
		for _, m := range market.Markets() {
			cfg, ok := x.Config.Markets[m.String()]
			if !ok {
				continue
			}
			v := c.venueOf(x.Name(), m)
			if v == nil {
				if x.Config.Enabled && cfg.Enabled {
					needRestart = append(needRestart, marketPath(x.Name(), m))
				}
				continue
			}
			r, err := v.reconfigure(x.Config.Enabled, cfg)
			if err != nil {
				errs = append(errs, err)
			}
			plan = append(plan, r)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, fmt.Errorf("collector: %w", err)
	}
	for _, r := range plan {
		needRestart = append(needRestart, r.needRestart...)
		if len(r.taken) == 0 {
			continue
		}
		if r.message.wish != nil {
			if _, err := supervise.Ask[settingsTaken](ctx, c.opts.System, r.venue.child(subscriptionsName), r.message); err != nil {
				errs = append(errs, fmt.Errorf("collector: %s: %w", r.venue.name, err))
				continue
			}
		}
		r.venue.settings = r.settings
		taken = append(taken, r.taken...)
	}
	slices.Sort(taken)
	slices.Sort(needRestart)
	return slices.Compact(taken), slices.Compact(needRestart), errors.Join(errs...)
}

// marketSettings are the settings of one market that are in force.
type marketSettings struct {
	// exchange is whether the exchange is enabled at all.
	exchange bool
	market   connectors.MarketConfig
}

func (s marketSettings) enabled() bool { return s.exchange && s.market.Enabled }

// reconfiguration is what a market's new settings come to.
type reconfiguration struct {
	venue              *venue
	settings           marketSettings // in force from then on
	message            settings       // to the subscriptions actor; its wish is nil when it need not know
	taken, needRestart []string
}

func marketPath(exchange string, m market.Market) string {
	return "exchanges." + exchange + ".markets." + m.String()
}

func (c *Collector) venueOf(exchange string, m market.Market) *venue {
	for _, v := range c.venues {
		if v.exchange == exchange && v.market == m {
			return v
		}
	}
	return nil
}

// reconfigure finds out what new settings come to. It changes nothing.
func (v *venue) reconfigure(exchange bool, cfg connectors.MarketConfig) (reconfiguration, error) {
	old, next := v.settings, marketSettings{exchange, cfg}
	r := reconfiguration{venue: v, settings: next}
	if old.exchange != exchange {
		r.taken = append(r.taken, "exchanges."+v.exchange+".enabled")
	}
	stays := old.enabled() && next.enabled()
	path := marketPath(v.exchange, v.market)
	for _, key := range differences(reflect.ValueOf(old.market), reflect.ValueOf(cfg)) {
		if stays && !atOnce(key) {
			r.needRestart = append(r.needRestart, path+"."+key)
		} else {
			r.taken = append(r.taken, path+"."+key)
		}
	}
	if stays { // what needs a restart stays as it is
		r.settings.market = old.market
		r.settings.market.Symbols, r.settings.market.DataTypes, r.settings.market.Top = cfg.Symbols, cfg.DataTypes, cfg.Top
		if err := r.limit(old.market.RateLimits, cfg.RateLimits); err != nil {
			return r, err
		}
	}
	w, err := v.wishOf(next.enabled(), cfg)
	if err != nil {
		return r, err
	}
	if next.enabled() && !old.enabled() {
		if r.message.setup, err = v.make(cfg); err != nil {
			return r, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	if old.enabled() || next.enabled() {
		r.message.wish = w
	}
	return r, nil
}

// limit takes those rate limits up that can change at once. How many frames a
// connection may send and how many subscriptions it has are what it was made with.
func (r *reconfiguration) limit(old, next connectors.RateLimits) error {
	had := old
	old.RESTWeightPerMinute, old.WSConnectsPer5Minutes = next.RESTWeightPerMinute, next.WSConnectsPer5Minutes
	if old == had {
		return nil
	}
	v := r.venue
	r.settings.market.RateLimits = old
	table, err := v.of.Venue(v.market, r.settings.market) // the exchange says what it allows
	if err != nil {
		return fmt.Errorf("%s: %w", v.name, err)
	}
	r.message.limits = &table.Limits
	return nil
}

// LiveSettings are the settings of an enabled market that [Collector.Reconfigure] takes up;
// those of a disabled one all are.
func LiveSettings() []string {
	return []string{"enabled", "symbols", "data_types", "top", "rate_limits.rest_weight_per_minute", "rate_limits.ws_connects_per_5_minutes"}
}

// atOnce reports whether a setting of an enabled market changes at once.
func atOnce(key string) bool { return slices.Contains(LiveSettings(), key) }

// differences lists the keys, in the configuration's words, by which two values
// of one struct differ. A nested struct is entered, a map or list is not.
func differences(a, b reflect.Value) []string {
	var out []string
	for n := range a.NumField() {
		key, _, _ := strings.Cut(a.Type().Field(n).Tag.Get("yaml"), ",")
		x, y := a.Field(n), b.Field(n)
		switch {
		case x.Kind() == reflect.Struct:
			for _, inner := range differences(x, y) {
				out = append(out, key+"."+inner)
			}
		case (x.Kind() == reflect.Slice || x.Kind() == reflect.Map) && x.Len() == 0 && y.Len() == 0: // nil is as good as empty
		case !reflect.DeepEqual(x.Interface(), y.Interface()):
			out = append(out, key)
		}
	}
	return out
}
