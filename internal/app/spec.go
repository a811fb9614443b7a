package app

import "github.com/marketprism/marketprism/actors/supervise"

// specMaker is the handle of a branch.
type specMaker interface{ Spec() supervise.Spec }

func specsOf(branches []specMaker) []supervise.Spec {
	specs := make([]supervise.Spec, 0, len(branches))
	for _, b := range branches {
		specs = append(specs, b.Spec())
	}
	return specs
}
