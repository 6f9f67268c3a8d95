// Package bundle judges the signatures that cosign 3 makes by default, Sigstore bundles, by the requirements of
// containers-policy.json(5): the same policy files, with the same meaning, as for signatures of the older format, which
// package signature judges.
//
// # Which bundles are signatures
//
// A Sigstore bundle of version 0.3 with a DSSE envelope with one signature, around an in-toto statement of version 1
// whose predicate type is https://sigstore.dev/cosign/sign/v1 and of whose subjects one has the digest of the manifest.
// Bundles with other predicate types are attestations and are skipped. Everything else is refused, including older
// versions of the format, which no tool has ever used to sign images.
//
// # Which signers are trusted
//
// Only those of the sigstoreSigned requirement: its keys, the identity in certificates of its Fulcio, or that in
// certificates of its PKI. If it has keys of Rekor, the bundle must contain an entry for this signature by one of them.
// sigstore-go verifies the log's entry and the signature of the statement; certificate chains and names are verified
// exactly as in containers/image. Certificate transparency is not verified, as in containers/image: policy.json cannot
// name a certificate log.
//
// Certificates of Fulcio are valid for ten minutes, so a trusted party must have signed the time. That is the log, with
// its inclusion promise. An inclusion proof alone has no signed time, nor do entries of Rekor v2, and the fields of
// containers-policy.json(5) cannot name an authority for timestamps (RFC 3161): keyless bundles with nothing else are
// refused, and the detail says so. For keys, a proof without a promise is sufficient, because the time does not matter.
//
// A requirement with a trusted root (package trustedroot), which is an extension, accepts these too.
//
// cosign has no option for the signature algorithm, and a bundle does not contain it. ECDSA (P-256, P-384, P-521),
// Ed25519 and Ed25519ph, and RSA (PKCS #1 v1.5, PSS) are tried with the hashes that signers use. A hint that is the
// hash of another key, as cosign writes it, excludes a key; any other hint is ignored.
//
// # Names of images
//
// signedIdentity is matched against the annotation docker-reference of the subject that is this manifest, put there by
//
//	cosign sign -a docker-reference=REPOSITORY[:TAG] …
//
// A signature without it does not name a repository, and an image that was signed for one repository could be used as
// another repository's. Such a finding is [policy.Rejected] with NoIdentity, and the operator may configure that it
// suffices.
//
// # Hostile bundles
//
// Everyone who can push to the repository can add bundles. Their number, size and elements are limited before they are
// parsed, a log's entries are parsed only if a requirement needs a log, and a key in a bundle is used only if a trusted
// certificate covers it and its size is reasonable. A panic is reported as internal.
package bundle
