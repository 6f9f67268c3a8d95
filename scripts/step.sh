#!/usr/bin/env bash
# step.sh NAME COMMAND…: runs one step of a check, passes its output through, and reports how long it took.
set -euo pipefail
name=$1
shift
printf '== %s\n' "$name"
started=$SECONDS
status=0
"$@" || status=$?
printf '== %s: %s after %d s\n' "$name" "$([ "$status" -eq 0 ] && echo passed || echo FAILED)" "$((SECONDS - started))"
exit "$status"
