#!/usr/bin/env bash
# dist.sh: writes a release to dist/: for each architecture an archive, a Debian and an RPM package and an SBOM of what
# nodes need, an archive and an SBOM of countersign-agent, and the checksums of all. If COSIGN_KEY names a private key (a file, or env://VARIABLE), cosign signs the checksums; its
# password is COSIGN_PASSWORD. COSIGN is the program; by default the pinned one is built. ARCHITECTURES and DIST select
# architectures and another directory; VERSION replaces the version, which comes from the newest tag. BUILD_FLAGS
# replaces -trimpath: a test uses what is compiled already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

architectures=${ARCHITECTURES:-amd64 arm64}
dist=$(mkdir -p "${DIST:-dist}" && cd "${DIST:-dist}" && pwd)
VERSION=${VERSION:-$(scripts/version.sh)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
limit=$((40 << 20)) # The largest size of the daemon's program.
export VERSION SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Building nfpm takes a minute, so it is cached.
tools=$PWD/.cache/packages/$(cat scripts/packages/go.mod scripts/packages/go.sum | sha256sum | cut -c1-16)
if [ ! -x "$tools/nfpm" ]; then
	(cd scripts/packages && GOFLAGS='' go build -trimpath -o "$tools/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm)
fi

# archive NAME: writes the SBOM and the archive of the programs in $work/NAME.
archive() {
	go run ./scripts/sbom -version "$VERSION" -created "$SOURCE_DATE_EPOCH" "$work/$1"/countersign* >"$dist/$1.spdx.json"
	cp LICENSE README.md CHANGELOG.md "$work/$1/"
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$work" -c "$1" |
		gzip -9n >"$dist/$1.tar.gz"
}

for ARCHITECTURE in $architectures; do
	name=countersign-$VERSION-linux-$ARCHITECTURE
	BUILT=$work/$name
	export ARCHITECTURE BUILT
	mkdir "$BUILT"
	# shellcheck disable=SC2086 # Several flags.
	GOOS=linux GOARCH=$ARCHITECTURE go build ${BUILD_FLAGS--trimpath} -ldflags='-s -w' -o "$BUILT/" \
		./plugin/countersign ./plugin/verifier/countersign-verifier
	size=$(stat -c %s "$BUILT/countersign")
	if [ "$size" -gt "$limit" ]; then
		echo "countersign for $ARCHITECTURE has $size bytes, more than $limit" >&2
		exit 1
	fi
	archive "$name"
	for packager in deb rpm; do
		"$tools/nfpm" package --config scripts/packages/nfpm.yaml --packager "$packager" --target "$dist/$name.$packager"
	done
	echo "$name: program of $((size >> 20)) MiB"

	# The agent is a module of its own. It runs in the cluster's pods, and no package has it.
	agent=countersign-agent-$VERSION-linux-$ARCHITECTURE
	# shellcheck disable=SC2086 # Several flags.
	GOOS=linux GOARCH=$ARCHITECTURE go -C plugin/agent build ${BUILD_FLAGS--trimpath} -ldflags='-s -w' \
		-o "$work/$agent/" ./countersign-agent
	archive "$agent"
done

(cd "$dist" && sha256sum "countersign-$VERSION"-* "countersign-agent-$VERSION"-* >SHA256SUMS)
if [ -n "${COSIGN_KEY-}" ]; then
	cosign=${COSIGN-}
	if [ -z "$cosign" ]; then
		cosign=$work/cosign
		(cd integration/tools && GOFLAGS='' go build -o "$cosign" github.com/sigstore/cosign/v3/cmd/cosign)
	fi
	(cd "$dist" && "$cosign" sign-blob --yes --key "$COSIGN_KEY" --tlog-upload=false --use-signing-config=false \
		--bundle SHA256SUMS.sigstore.json SHA256SUMS >/dev/null)
else
	echo "the checksums are not signed: COSIGN_KEY is not set" >&2
fi
