#!/usr/bin/env bash
# Runs every fuzz target of the main module for FUZZTIME, one after the other, and stops at the first failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${FUZZTIME:=30s}"
count=0
while IFS=: read -r file target; do
	printf '== %s in %s for %s\n' "$target" "$(dirname "$file")" "$FUZZTIME"
	go test -run '^$' -fuzz "^${target}\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 10x "$(dirname "$file")"
	count=$((count + 1))
done < <(grep -roE --include='*_test.go' --exclude-dir=.cache '^func Fuzz[A-Za-z0-9_]+' . | sed 's/:func /:/')
printf '== %d fuzz targets passed after %s each\n' "$count" "$FUZZTIME"
