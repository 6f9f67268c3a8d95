// Package bundle judges the signatures that cosign 3 makes unless told otherwise, Sigstore bundles, by the
// requirements of containers-policy.json(5): the same policy files, with the same meaning, as for signatures of the
// older format, which package signature judges.
//
// # What a bundle must be
//
// A Sigstore bundle of version 0.3 with a DSSE envelope, signed once, around an in-toto statement of version 1 whose
// predicate type is https://sigstore.dev/cosign/sign/v1, and one of the statement's subjects has the digest of the
// manifest. Bundles with other predicate types are attestations: they are skipped. All else is refused, older
// versions of the format among it, for no tool has ever signed images in them so.
//
// # Who must have signed
//
// Whom the sigstoreSigned requirement names, and no one else is trusted: its keys, a person whom its Fulcio certified,
// or whom its PKI certified. Where it names keys of Rekor, an entry for this signature must be in the bundle, under one
// of them. Whether the log recorded it, and whether the key signed the statement, is sigstore-go's answer; whether a
// certificate's chain and names are accepted follows containers/image to the letter. Certificate transparency is not
// asked for, as it is not by containers/image: policy.json names no log of certificates.
//
// Fulcio certifies for ten minutes, so that somebody must have signed the time. That is the log, by its promise to
// include the entry. A bare proof of inclusion carries no signed time, neither do entries of Rekor v2, and timestamps
// (RFC 3161) are signed by an authority that policy.json cannot name: keyless bundles that have nothing else are
// refused by these words. By key, a proof without a promise is enough, for nobody asks for the time.
//
// cosign cannot be told how a key signs, and a bundle does not say. ECDSA (P-256, P-384, P-521), Ed25519 and Ed25519ph,
// and RSA (PKCS #1 v1.5, PSS) are tried with the hashes that signers use. A hint that is the hash of another key, as
// cosign writes it, is believed; any other hint says nothing.
//
// # What an image may be called
//
// signedIdentity is matched against the annotation docker-reference of the subject that is this manifest, put there by
//
//	cosign sign -a docker-reference=REPOSITORY[:TAG] …
//
// A signature without it says nothing of any repository, and an image that was signed for one could be passed off as
// another's. Such a finding is [policy.Rejected] and Nameless, and the operator may say that it is enough.
//
// # Hostile bundles
//
// Whoever can push next to an image can put bundles there. They are bounded in number, size and elements before
// anything parses them, a log's entries are looked at only if a requirement needs a log, and no key that a bundle
// brings along is used before somebody trusted vouches for it or while it is of absurd size. A panic is no answer.
package bundle
