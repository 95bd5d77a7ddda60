package search

import "time"

// The ladder of freshness, best first.
const (
	fresh = iota
	due
	stale
	demoted
	lapsed
	freshnessSteps
)

var freshnessNames = [freshnessSteps]string{"fresh", "due", "stale", "demoted", "lapsed"}

const defaultCadence = 180 // days

// freshness returns the step of a check made on the day assured, seen on the
// day today: fresh for one cadence; due for half of one but at most 30 days;
// stale to two; demoted until it lapses. No date, or one that lies more than a
// day ahead, is stale: nothing speaks for it and nothing against.
func freshness(assured, cadence, lapse, today int32) int {
	if assured == 0 || assured > today+1 {
		return stale
	}
	switch age := today - assured; {
	case age >= lapse:
		return lapsed
	case age >= 2*cadence:
		return demoted
	case age >= cadence+min(cadence/2, 30):
		return stale
	case age >= cadence:
		return due
	}
	return fresh
}

// dayOf returns the UTC day of t as days since 1970-01-01.
func dayOf(t time.Time) int32 {
	s := t.Unix()
	if s < 0 {
		s -= 86399
	}
	return int32(s / 86400)
}
