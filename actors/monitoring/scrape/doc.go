// Package scrape reads the metrics of every service, and of whatever else is
// configured, as anybody would: over HTTP.
//
// # Authority
//
// The pool asks [Targets] for what there is to scrape and keeps one scraper for each:
// it alone starts and stops them. A scraper alone writes the series of its target. The
// [Handle] shows what they found, and outlives them.
//
//	scrape
//	├─ pool       which targets there are; upkeep of the store
//	└─ target/…   one scraper each, staggered over the interval
//
// # States of a target
//
//	unknown ──first scrape──▶ up ◀────────▶ down      gone: its series end
//
// After each scrape there are `up` (1, or 0 after a failure), scrape_duration_seconds
// and scrape_samples_scraped, with the labels job and instance, which all series of the
// target bear. A label of the target's own by such a name becomes exported_<name>.
// A series that was there at the scrape before and is not any more ends with a stale
// marker; so do all of a target that is down, or gone.
//
// Services of one process share their metrics. Of targets with the same Process the
// first is scraped; for the others /livez is asked, so that their `up` is true and no
// series is there twice.
//
// # Failure
//
// A scrape has Config.Timeout, and reads at most Config.BodyLimit bytes and
// Config.SampleLimit samples. One that fails in any way, also in the middle of the
// body, leaves nothing but `up 0`. The next scrape waits for the one under way: a
// scraper never has two.
package scrape
