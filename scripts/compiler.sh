#!/usr/bin/env bash
# Makes sure that there is a C compiler, which the race detector and runc need: installs one with apt if it runs as root.
set -euo pipefail
compiler=$(go env CC)
if ! command -v "$compiler" >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
	apt-get update -q || true
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends gcc libc6-dev || true
fi
if ! command -v "$compiler" >/dev/null; then
	echo "there is no C compiler ($compiler): install gcc and the C library's headers (Debian: gcc libc6-dev)" >&2
	exit 1
fi
