#!/usr/bin/env bash
# modules.sh TARGET: makes sure that the Go modules that TARGET needs are in Go's cache, or prints one line that says what
# is missing. Otherwise a machine that cannot reach a module proxy would print one error for each module.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! failure=$(go list -deps -test ./... 2>&1 >/dev/null); then
	first=$(grep -m 1 -E 'dial tcp|lookup|proxyconnect|disabled by GOPROXY|timeout|connection refused|no such host|certificate' \
		<<<"$failure" || head -n 1 <<<"$failure")
	echo "$1: a Go module is neither in Go's module cache nor can it be downloaded; connect this machine to a Go module" \
		"proxy (go env GOPROXY) and try again: ${first##*: }" >&2
	exit 1
fi
