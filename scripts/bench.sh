#!/usr/bin/env bash
# Runs every Go benchmark COUNT times, and measures promised limits on a node: those that need thousands of containers or
# images have make targets of their own. The raw results are written to .cache/bench/. With BASELINE=FILE of an earlier
# run, benchstat compares the two. Benchmarks that measure an operation after many earlier ones (such as
# BenchmarkWriteAfter) run once, because the earlier ones take most of the time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${COUNT:=6}" "${BENCHTIME:=200ms}"
history='After$|^BenchmarkEvict$'
figures=.cache/bench/$(git rev-parse --short HEAD 2>/dev/null || echo unversioned).txt
mkdir -p "$(dirname "$figures")"

echo "== benchmarks, $COUNT runs each, written to $figures"
go test -run '^$' -bench . -skip "$history" -benchmem -benchtime "$BENCHTIME" -count "$COUNT" ./... | tee "$figures"
echo "== benchmarks after many operations, one run each"
go test -run '^$' -bench "$history" -benchmem -benchtime "$BENCHTIME" ./policy/... | tee -a "$figures"
echo "== summary"
benchstat ${BASELINE:+"$BASELINE"} "$figures"

echo "== limits on a real node"
go run ./integration/bench
