#!/usr/bin/env bash
# node.sh: runs the tests on nodes, each package on the releases of containerd that it depends on, two at a time.
# RELEASES selects releases ("2.3"), and PACKAGES packages below integration/ ("crio layers"). ALL=true leaves out nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CI=true

# Longest first, so that no core is idle in the end. Packages that are not listed run on 2.4 only.
long=(kubernetes monitoring attack lifecycle systemd layers explain node pull bundle)
on23=(attack lifecycle layers pull crio explain)
# A core. What the others test in addition differs little between 2.2 and 2.3.
on22=(layers crio doctor)
# Half of the time of attack on 2.3, for tests of evidence, of registries, of a flood and of memory, none of which depends on
# how the image of a container is found.
skip23='^TestEvidenceAttacks$|^TestMintedRegistries$|^TestAttacks$/^a_tenant_floods|^TestAttacks$/^images_list_thousands'
# What inventory and the daemon find about images without the digests of configs.
run23='^TestExplain$/^policies_are_previewed$'

mapfile -t all < <(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./integration/... | sed 's|.*/integration/||')
selects() { [ -z "$2" ] || grep -qwF -- "$1" <<<"$2"; }
jobs() {
	local package
	for package in "${long[@]}" $(printf '%s\n' "${all[@]}" | grep -vxF "$(printf '%s\n' "${long[@]}")"); do
		echo "2.4 $package"
		if printf '%s\n' "${on23[@]}" | grep -qxF "$package"; then echo "2.3 $package"; fi
		if printf '%s\n' "${on22[@]}" | grep -qxF "$package"; then echo "2.2 $package"; fi
	done | while read -r release package; do
		if selects "$release" "${RELEASES-}" && selects "$package" "${PACKAGES-}"; then echo "$release $package"; fi
	done
}

pinned() { (cd "$1" && go list -m -f '{{.Version}}' github.com/containerd/containerd/v2); }
echo "containerd $(pinned integration/tools/containerd22), $(pinned integration/tools/containerd23)," \
	"$(pinned integration/tools) with $(go version | cut -d ' ' -f 3)"

# Each package is built once, although it runs on several releases.
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
mapfile -t packages < <(jobs | cut -d ' ' -f 2 | sort -u)
go test -c -o "$built/" "${packages[@]/#/./integration/}"

# one RELEASE PACKAGE prints the output only if a test has failed or printed something worth reading.
one() {
	# Go names a test program by the last element of its package's path.
	local program="$1/${3##*/}.test" log="$1/${3//\//-}-$2.log" started=$SECONDS status=0 skip='' run=''
	if [ "$2 $3" = "2.3 attack" ] && [ -z "${ALL-}" ]; then skip=$skip23; fi
	if [ "$2 $3" = "2.3 explain" ] && [ -z "${ALL-}" ]; then run=$run23; fi
	(cd "integration/$3" &&
		COUNTERSIGN_CONTAINERD=$2 "$program" -test.timeout=30m -test.paniconexit0 -test.skip="$skip" -test.run="$run") >"$log" 2>&1 ||
		status=$?
	if [ "$status" -ne 0 ]; then cat "$log"; fi
	echo "== $3 on containerd $2: $([ "$status" -eq 0 ] && echo passed || echo FAILED) after $((SECONDS - started)) s"
	return "$status"
}
export -f one
export skip23 run23
jobs | xargs -P 2 -L 1 bash -c 'one "$0" "$1" "$2"' "$built"
