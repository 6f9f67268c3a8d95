package main

import (
	"errors"

	"github.com/countersign/countersign/integration/node"
)

// callbacks returns the durations, in seconds, of the daemon's answers so far, in the order of its audit log. The
// classic histogram of its metrics is too coarse for quantiles.
func callbacks(daemon *node.Daemon) ([]float64, error) {
	decisions, err := daemon.Decisions()
	if err != nil {
		return nil, err
	}
	var seconds []float64
	for _, decision := range decisions {
		if took, ok := decision.Record["took_seconds"].(float64); ok && decision.Stage == "creation" {
			seconds = append(seconds, took)
		}
	}
	if len(seconds) == 0 {
		return nil, errors.New("the daemon's log has no decision")
	}
	return seconds, nil
}
