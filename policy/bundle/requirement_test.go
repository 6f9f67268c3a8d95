package bundle_test

import (
	"crypto"
	"crypto/elliptic"
	"maps"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// TestAnInvalidRequirementIsNotMet: package signature never writes such requirements, and parsing one in part would
// require less.
func TestAnInvalidRequirementIsNotMet(t *testing.T) {
	key, sigstore, ours := bundletest.NewKey(t), bundletest.NewSigstore(t), newCompany(t)
	app := newSample(t, manifest, bundletest.Sign(t, key, subject, tagged).JSON(t))
	byKey, keyless, byPKI := key.Requirement(t), sigstore.Requirement(t, builder), ours.requirement(builder.Email, "")
	set := func(of map[string]any, members ...any) map[string]any {
		changed := maps.Clone(of)
		for i := 0; i < len(members); i += 2 {
			changed[members[i].(string)] = members[i+1]
			if members[i+1] == nil {
				delete(changed, members[i].(string))
			}
		}
		return changed
	}
	within := func(of map[string]any, name string, members ...any) map[string]any {
		return set(of, name, set(of[name].(map[string]any), members...))
	}
	identity := func(members ...any) map[string]any {
		return set(byKey, "signedIdentity", set(map[string]any{}, members...))
	}
	rsa := bundletest.NewRSA(t, 2048, false)
	for name, test := range map[string]struct {
		requirement map[string]any
		detail      string
	}{
		"another type":                 {set(byKey, "type", "signedBy"), "its type is"},
		"no signer":                    {set(byKey, "keyData", nil), "one of keys, fulcio and pki"},
		"a key and Fulcio":             {set(keyless, "keyData", byKey["keyData"]), "one of keys, fulcio and pki"},
		"Fulcio and a PKI":             {set(keyless, "pki", byPKI["pki"]), "one of keys, fulcio and pki"},
		"a key and several":            {set(byKey, "keyDatas", []any{byKey["keyData"]}), "both a single key and a list"},
		"no keys":                      {set(byKey, "keyData", nil, "keyDatas", []any{}), "the list is empty"},
		"a key that is none":           {set(byKey, "keyData", []byte("x")), "parsing public key 1"},
		"a path":                       {set(byKey, "keyPath", "/etc/key.pub"), "unknown field"},
		"a member from the future":     {set(byKey, "rekorURL", "https://rekor.example"), "unknown field"},
		"Fulcio without a log":         {set(keyless, "rekorPublicKeyData", nil), "a key of Rekor"},
		"Fulcio without an issuer":     {within(keyless, "fulcio", "oidcIssuer", nil), "oidcIssuer is missing"},
		"Fulcio without an address":    {within(keyless, "fulcio", "subjectEmail", nil), "exactly one"},
		"Fulcio without certificates":  {within(keyless, "fulcio", "caData", []byte("x")), "no certificate"},
		"Fulcio with a regexp":         {within(keyless, "fulcio", "subjectRegexp", ".*"), "unknown field"},
		"a PKI with a log":             {set(byPKI, "rekorPublicKeyData", sigstore.LogPEM(t)), "no key of Rekor"},
		"a PKI without an identity":    {within(byPKI, "pki", "subjectEmail", nil), "or a host name"},
		"a PKI without roots":          {within(byPKI, "pki", "caRootsData", nil), "no certificate"},
		"intermediates that are none":  {within(byPKI, "pki", "caIntermediatesData", []byte("-----BEGIN")), "intermediate"},
		"a log that is none":           {set(byKey, "rekorPublicKeyData", []byte("x")), "keys of Rekor"},
		"a log that signs by RSA":      {set(byKey, "rekorPublicKeyData", rsa.PEM(t)), "not an ECDSA key"},
		"no logs":                      {set(byKey, "rekorPublicKeyDatas", []any{}), "keys of Rekor: the list is empty"},
		"an identity of no type":       {identity(), "unknown type"},
		"an identity of a new type":    {identity("type", "matchAnything"), "unknown type"},
		"an identity with more in it":  {identity("type", "matchRepository", "regexp", ".*"), "unknown field"},
		"a reference that is none":     {identity("type", "exactReference", "dockerReference", ""), "invalid reference"},
		"a reference without a tag":    {identity("type", "exactReference", "dockerReference", "app"), "neither a tag nor"},
		"a repository that is none":    {identity("type", "exactRepository", "dockerRepository", "A B"), "invalid reference"},
		"a prefix that is none":        {identity("type", "remapIdentity", "signedPrefix", "x"), "remaps"},
		"a signed prefix that is none": {identity("type", "remapIdentity", "prefix", "x"), "remaps"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := []byte(data(test.requirement))
			requirement := &policy.Requirement{ID: "sha256:1", Kind: "sigstoreSigned", JSON: raw, NeedsEvidence: true}
			wantFinding(t, app.judge(t, requirement), policy.Internal, test.detail)
		})
	}
}

// TestLogsMayUseAnyCurve: a requirement with such a key is valid, and a bundle of another log is refused.
func TestLogsMayUseAnyCurve(t *testing.T) {
	key, sigstore := bundletest.NewKey(t), bundletest.NewSigstore(t)
	app := newSample(t, manifest, sigstore.Sign(t, builder, subject, tagged).JSON(t))
	for _, log := range []*bundletest.Key{
		key, bundletest.NewECDSA(t, elliptic.P384(), crypto.SHA384), bundletest.NewECDSA(t, elliptic.P521(), crypto.SHA512),
	} {
		requirement := sigstore.Requirement(t, builder)
		requirement["rekorPublicKeyData"] = log.PEM(t)
		wantFinding(t, app.judge(t, required(t, requirement)), policy.Rejected, "by another log")
	}
}
