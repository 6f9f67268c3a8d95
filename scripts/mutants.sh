#!/usr/bin/env bash
# Changes the code in one place after another and looks whether a test fails: what survives is code that no test holds
# to anything. PACKAGES are the folders to look at; a large one takes hours. Not part of make check.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${PACKAGES:=policy nri policy/origin policy/bundle policy/evidence}"
tool=$PWD/.cache/mutation/gremlins
(cd scripts/mutation && go build -trimpath -o "$tool" github.com/go-gremlins/gremlins/cmd/gremlins)
for package in $PACKAGES; do
	figures=.cache/mutation/${package//\//-}.txt
	echo "== mutants of $package, to $figures"
	# Folders below the package have a run of their own.
	"$tool" unleash --tags containers_image_openpgp --workers "${WORKERS:-1}" --timeout-coefficient "${PATIENCE:-10}" \
		--exclude-files '/' --exclude-files '_test\.go$' "./$package" | tee "$figures" | grep -E 'LIVED|Killed|efficacy|coverage' || true
done
