#!/usr/bin/env bash
# Prints the path of skopeo, whose output some tests read. The tests use the distribution's skopeo, as operators do. If it
# is missing, installs it with apt if it runs as root. If several tests need it at once, one installs it and the others wait.
set -euo pipefail
if ! command -v skopeo >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
	exec 9>"${TMPDIR:-/tmp}/countersign-skopeo.lock"
	flock 9
	if ! command -v skopeo >/dev/null; then
		{
			apt-get update -q || true
			DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends skopeo || true
		} >&2
	fi
fi
if ! command -v skopeo >/dev/null; then
	echo "there is no skopeo: install it (Debian: skopeo)" >&2
	exit 1
fi
command -v skopeo
