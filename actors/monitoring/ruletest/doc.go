// Package ruletest runs the unit tests of rule files: the format of promtool, with its
// verdict. See
// https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
//
// A test group is a store, an engine and rule groups of its own, all in memory. Its
// input series are written as time goes on, one evaluation interval after the other;
// at each the rule groups are evaluated in order. Expected alerts are those that fire
// at the last evaluation up to their time. Expressions are evaluated when all is done.
//
// The language is that of package promql: promtool before 3.0 counts a sample that lies
// exactly where a range, or the look-back of five minutes, begins; this one and later
// ones do not.
//
// Native histograms are not kept: a test that has some fails, and says so.
package ruletest
