#!/bin/sh
# Makes the bundles in this directory anew, with cosign 3.1.3 in the PATH. Arguments: REGISTRY/REPOSITORY in a registry
# that speaks plain http and holds manifest.json and index.json, and a directory with the private keys: cosign.key
# (cosign generate-key-pair), and p256.key … rsa4096.key (openssl, then cosign import-key-pair), and pki-leaf.pem, a
# certificate of p256.key for build@example.com and build.example.com by pki-intermediate.pem by pki-root.pem.
set -eu
repository=$1 keys=$2
export COSIGN_PASSWORD=
manifest=$repository@sha256:$(sha256sum <manifest.json | cut -d' ' -f1)
index=$repository@sha256:$(sha256sum <index.json | cut -d' ' -f1)
sign() {
	cosign sign --tlog-upload=false --use-signing-config=false --allow-http-registry -y "$@"
}
name=docker-reference=registry.example/team/app:v1

sign --upload=false --key "$keys/cosign.key" --bundle key.json "$manifest"
sign --upload=false --key "$keys/cosign.key" --bundle key-annotated.json -a $name -a env=prod "$manifest"
for kind in p384 p521 ed25519 rsa2048 rsa3072 rsa4096; do
	sign --upload=false --key "$keys/$kind.key" --bundle $kind.json -a $name "$manifest"
done
sign --upload=false --key "$keys/p256.key" --certificate "$keys/pki-leaf.pem" --bundle pki.json -a $name "$manifest"
cat pki-intermediate.pem pki-root.pem >"$keys/chain.pem"
sign --upload=false --key "$keys/p256.key" --certificate "$keys/pki-leaf.pem" --certificate-chain "$keys/chain.pem" \
	--bundle pki-chain.json -a $name "$manifest"
# These two are pushed; recursive-index.json and recursive-child.json are the layers of what refers to the two.
sign --recursive --key "$keys/cosign.key" -a $name "$index"
