#!/usr/bin/env bash
# generate.sh DIRECTORY: generates what follows from the types of the policies (plugin/agent/api), below the root of a
# checkout: the CRDs, also for kustomize, and the functions that copy objects. The chart links to the CRDs.
# generate.sh --check: generates into a temporary directory, and fails if the result differs from the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
api=plugin/agent/api/v1alpha1

generate() { # generate CRDS COPIES
	go -C plugin/agent tool controller-gen object crd:crdVersions=v1 paths=./api/... \
		output:crd:dir="$1" output:object:dir="$2"
}

if [ "$1" != --check ]; then
	root=$(cd "$1" && pwd)
	generate "$root/conf/crds" "$root/$api"
	cat "$root"/conf/crds/*.yaml >"$root/conf/kustomize/crds.yaml"
	exit
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
generate "$made/crds" "$made/copies"
diff -u conf/crds "$made/crds"
diff -u conf/kustomize/crds.yaml <(cat conf/crds/*.yaml)
diff -u "$api/zz_generated.deepcopy.go" "$made/copies/zz_generated.deepcopy.go"
