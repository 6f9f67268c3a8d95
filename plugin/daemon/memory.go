package daemon

import (
	"log/slog"
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare is the share of the memory of its control group at which the garbage collector of the daemon aims. The
// rest is for credential helpers and for the kubelet's credential provider plugins, which run in the same unit. Of the
// unit's MemoryMax it is 384 MiB, which is half of MemoryHigh: docs/decisions/0063-limit-the-memory-of-the-daemon.md.
const memoryShare = 0.375

// minMemory is where the garbage collector aims in a smaller group. Below, it would run all the time.
const minMemory = 128 << 20

// limitMemory sets Go's memory limit from the control group's, unless the environment variable GOMEMLIMIT is set.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithRatio(memoryShare), memlimit.WithMin(minMemory))
	switch {
	case err != nil:
		log.Warn("the memory limit is unknown, and the garbage collector has none", "error", err)
	case limit == math.MaxInt64:
		log.Info("memory is not limited")
	default:
		log.Info("limiting memory", "bytes", limit)
	}
}
