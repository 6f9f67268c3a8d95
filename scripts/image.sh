#!/usr/bin/env bash
# image.sh: writes the container image to dist/image, an OCI layout with an image for each architecture, and prints its
# digest. It needs no container engine. ARCHITECTURES and IMAGE select architectures and another directory, NAME names
# the image. VERSION and BUILD_FLAGS are as for dist.sh.
#
#   crane push dist/image REPOSITORY:TAG                pushes it
#   tar -C dist/image -cf image.tar .                   makes an archive for ctr images import, or kind load image-archive
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

architectures=${ARCHITECTURES:-amd64 arm64}
image=${IMAGE:-dist/image}
revision=$(git rev-parse HEAD)
VERSION=${VERSION:-$(scripts/version.sh)}
name=${NAME:-ghcr.io/countersign/countersign:$VERSION}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
platforms=()
for architecture in $architectures; do
	built=$work/$architecture
	export GOOS=linux GOARCH=$architecture CGO_ENABLED=0
	# shellcheck disable=SC2086 # Several flags.
	go build ${BUILD_FLAGS--trimpath} -ldflags='-s -w' -o "$built/" ./plugin/countersign ./plugin/verifier/countersign-verifier
	# The agent is a module of its own.
	# shellcheck disable=SC2086
	go -C plugin/agent build ${BUILD_FLAGS--trimpath} -ldflags='-s -w' -o "$built/" ./countersign-agent
	platforms+=("linux/$architecture=$built")
done
unset GOOS GOARCH

if [ -e "$image/oci-layout" ]; then rm -rf "$image"; fi # An earlier image, and nothing else.
mkdir -p "$(dirname "$image")"
go run ./scripts/image -output "$image" -name "$name" -version "$VERSION" -revision "$revision" \
	-created "${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" "${platforms[@]}"
