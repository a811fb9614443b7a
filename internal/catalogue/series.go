package catalogue

// Metrics of actors/monitoring: series, scrapes, queries and rules.
const (
	SeriesActive    Name = "mp_series_active"
	SeriesSamples   Name = "mp_series_samples"
	SeriesBytes     Name = "mp_series_bytes"
	SeriesCreated   Name = "mp_series_created_total"
	SeriesRemoved   Name = "mp_series_removed_total"
	SeriesAppended  Name = "mp_series_appended_samples_total"
	SeriesRefused   Name = "mp_series_refused_samples_total"
	SeriesShortened Name = "mp_series_shortened_total"

	Scrapes       Name = "mp_scrapes_total"
	ScrapeSeconds Name = "mp_scrape_seconds"
	ScrapeTargets Name = "mp_scrape_targets"

	Queries      Name = "mp_queries_total"
	QuerySeconds Name = "mp_query_seconds"

	Rules              Name = "mp_rules"
	RuleEvaluations    Name = "mp_rule_evaluations_total"
	RuleGroupSeconds   Name = "mp_rule_group_seconds"
	RuleMissed         Name = "mp_rule_missed_evaluations_total"
	RuleReloads        Name = "mp_rule_reloads_total"
	RuleReloadGood     Name = "mp_rule_reload_successful"
	RuleMemoryFailures Name = "mp_rule_memory_failures_total"
)

func series() Area {
	return Area{
		Title: "Built-in metrics store, queries and rules",
		About: "The samples that monitoring keeps in memory, where they come from, and what is asked of them.",
		Metrics: []Metric{
			gauge(SeriesActive, Number, "Series that are kept."),
			gauge(SeriesSamples, Number, "Samples that are kept."),
			gauge(SeriesBytes, Bytes, "Size of the compressed samples."),
			counter(SeriesCreated, Number, "Series that were new."),
			counter(SeriesRemoved, Number, "Series that were given up because they were old or idle."),
			counter(SeriesAppended, Number, "Samples that were added."),
			counter(SeriesRefused, Number, "Samples that were refused, as out_of_order, duplicate, series_limit or sample_limit.", outcome),
			counter(SeriesShortened, Number, "Times that samples were dropped before their retention was over, because there were too many."),
			counter(Scrapes, Number, "Scrapes of targets, by what became of them.", job, outcome),
			histogram(ScrapeSeconds, Seconds, Task, "Time that a scrape took."),
			gauge(ScrapeTargets, Number, "Targets, by whether their last scrape was up or down; unknown before the first.", outcome),
			counter(Queries, Number, "PromQL queries, those of rules included, by what became of them.", outcome),
			histogram(QuerySeconds, Seconds, Task, "Time that a PromQL query took, its wait for a slot included."),
			gauge(Rules, Number, "Rules that are evaluated."),
			counter(RuleEvaluations, Number, "Evaluations of rules, by what became of them.", outcome),
			histogram(RuleGroupSeconds, Seconds, Task, "Time that the evaluation of a group of rules took."),
			counter(RuleMissed, Number, "Evaluations of groups that were left out because the one before was not over."),
			counter(RuleReloads, Number, "Times that rule files were read, by what became of it.", outcome),
			gauge(RuleReloadGood, Flag, "1 when the rule files are in use as they are, 0 when they have a fault and the older rules stay."),
			counter(RuleMemoryFailures, Number, "Times that the state of alerts could not be written where it survives a restart."),
		},
	}
}
