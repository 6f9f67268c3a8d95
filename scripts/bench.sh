#!/usr/bin/env bash
# Runs every Go benchmark COUNT times and, on a node, measures the bounds that the design promises. The raw figures
# go to .cache/bench/; with BASELINE=FILE of an earlier run, benchstat compares the two. Benchmarks of what something
# costs after many earlier operations (BenchmarkWriteAfter, say) run once: those operations take most of their time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${COUNT:=6}" "${BENCHTIME:=200ms}"
history='After$|^BenchmarkEvict$'
figures=.cache/bench/$(git rev-parse --short HEAD 2>/dev/null || echo unversioned).txt
mkdir -p "$(dirname "$figures")"

echo "== benchmarks, $COUNT runs each, to $figures"
go test -run '^$' -bench . -skip "$history" -benchmem -benchtime "$BENCHTIME" -count "$COUNT" ./... | tee "$figures"
echo "== what history costs, once"
go test -run '^$' -bench "$history" -benchmem -benchtime "$BENCHTIME" ./policy/... | tee -a "$figures"
echo "== the same, summed up"
benchstat ${BASELINE:+"$BASELINE"} "$figures"

echo "== bounds on a real node"
go run ./integration/bench
