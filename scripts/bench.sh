#!/usr/bin/env bash
# Runs every Go benchmark COUNT times. The raw results are written to .cache/bench/. With BASELINE=FILE of an earlier
# run, benchstat compares the two. Benchmarks that measure an operation after many earlier ones (such as
# BenchmarkWriteAfter) run once, because the earlier ones take most of the time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${COUNT:=6}" "${BENCHTIME:=100ms}"
history='After$|^BenchmarkEvict$'
figures=.cache/bench/$(git rev-parse --short HEAD 2>/dev/null || echo unversioned).txt
mkdir -p "$(dirname "$figures")"
# Only these are built: the others are many, and linking them takes minutes.
packages=$(go list -f '{{.Dir}}' ./... |
	while read -r folder; do if grep -qs '^func Benchmark' "$folder"/*_test.go; then echo "$folder"; fi; done)

echo "== benchmarks, $COUNT runs each, written to $figures"
# shellcheck disable=SC2086 # Several folders.
go test -run '^$' -bench . -skip "$history" -benchmem -benchtime "$BENCHTIME" -count "$COUNT" $packages | tee "$figures"
echo "== benchmarks after many operations, one run each"
go test -run '^$' -bench "$history" -benchmem -benchtime "$BENCHTIME" ./policy/... | tee -a "$figures"
echo "== summary"
benchstat ${BASELINE:+"$BASELINE"} "$figures"
