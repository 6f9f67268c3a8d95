#!/usr/bin/env bash
# Runs mutation tests: changes the code in one place after another, and checks whether a test fails. A mutant that
# survives shows code that no test verifies. PACKAGES are the folders to test; a large one takes hours. Not part of make
# check.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${PACKAGES:=policy nri policy/origin policy/bundle policy/evidence policy/evidence/format policy/evidence/archive policy/evidence/store policy/evidence/fetch policy/registry}"
tool=$PWD/.cache/mutation/gremlins
(cd scripts/mutation && go build -trimpath -o "$tool" github.com/go-gremlins/gremlins/cmd/gremlins)
for package in $PACKAGES; do
	figures=.cache/mutation/${package//\//-}.txt
	echo "== mutants of $package, written to $figures"
	# Subfolders of the package are run separately.
	"$tool" unleash --tags containers_image_openpgp --workers "${WORKERS:-1}" --timeout-coefficient "${PATIENCE:-10}" \
		--exclude-files '/' --exclude-files '_test\.go$' "./$package" | tee "$figures" | grep -E 'LIVED|Killed|efficacy|coverage' || true
done
