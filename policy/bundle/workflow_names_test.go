package bundle_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// otherSpellings are URIs that some reader may take for the right one.
func otherSpellings(t testing.TB) map[string]identityCase {
	t.Helper()
	const notMatched = "which does not match"
	right := release().URI()
	spelled := func(old, new string) func(testing.TB) []pkix.Extension {
		uri := strings.Replace(right, old, new, 1)
		if uri == right {
			t.Fatalf("%s is not in %s", old, right)
		}
		return altered(signaturetest.AlternativeNames(t, name(6, uri)), signaturetest.Claim(t, 9, uri))
	}
	cases := make(map[string]identityCase)
	for kind, certificate := range map[string]func(testing.TB) []pkix.Extension{
		"the owner in capitals":              spelled("acme", "ACME"),
		"the host in capitals":               spelled("github.com", "GitHub.com"),
		"the scheme in capitals":             spelled("https", "HTTPS"),
		"a letter in percent encoding":       spelled("acme", "%61cme"),
		"a slash in percent encoding":        spelled("acme/app", "acme%2Fapp"),
		"a segment that goes up":             spelled("acme/app", "evil/../acme/app"),
		"a segment that stays":               spelled("acme/app", "acme/./app"),
		"two slashes":                        spelled("acme/app", "acme//app"),
		"http":                               spelled("https", "http"),
		"a port":                             spelled("github.com", "github.com:443"),
		"a user":                             spelled("github.com", "github.com@evil.example"),
		"a query":                            spelled("@refs", "?@refs"),
		"a fragment":                         spelled("v1.2.0", "v1.2.0#x"),
		"a percent-encoded line feed behind": spelled("v1.2.0", "v1.2.0%0A"),
		"a percent-encoded NUL behind":       spelled("v1.2.0", "v1.2.0%00"),
		"the right one in a query":           spelled("https://", "https://evil.example/?https://"),
		"the right one in a fragment":        spelled("https://", "https://evil.example/#https://"),
		"the right one behind another":       spelled("https://", "https://evil.example/x@y,https://"),
		"a letter missing":                   spelled("v1.2.0", "v1.2."),
	} {
		cases["spelled with "+kind+", by pattern"] = identityCase{pattern(), certificate, notMatched}
		cases["spelled with "+kind+", exactly"] = identityCase{exact(), certificate, ", not for "}
		cases["spelled with "+kind+", by build signer"] = identityCase{built(), certificate, "the build signer in its cert"}
	}
	for kind, behind := range map[string]string{
		"a line feed": "\n", "a carriage return": "\r", "a NUL": "\x00", "a tab": "\t", "a byte that is not ASCII": "\xff",
		"a space": " ", "an accent": "é",
	} {
		certificate := altered(signaturetest.AlternativeNames(t, name(6, right+behind)))
		// Go refuses some of these certificates, and we refuse the others.
		detail := "x509:"
		if kind == "a space" {
			detail = "has characters that a URI does not have"
		}
		cases["with "+kind+" behind, by pattern"] = identityCase{pattern(), certificate, detail}
		cases["with "+kind+" behind, exactly"] = identityCase{exact(), certificate, detail}
	}
	return cases
}

// otherNamesInCertificates are certificates whose only name is not the right URI.
func otherNamesInCertificates(t testing.TB) map[string]identityCase {
	t.Helper()
	right := name(6, release().URI())
	names := func(of ...asn1.RawValue) func(testing.TB) []pkix.Extension {
		return altered(signaturetest.AlternativeNames(t, of...))
	}
	other := asn1.RawValue{
		Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true,
		Bytes: append([]byte{6, 1, 42, 0xa0, byte(len(right.Bytes) + 2), 12, byte(len(right.Bytes))}, right.Bytes...),
	}
	subjectAltName := asn1.ObjectIdentifier{2, 5, 29, 17}
	const two = "has 2 alternative names, and must have exactly one"
	cases := make(map[string]identityCase)
	for kind, test := range map[string]struct {
		certificate func(testing.TB) []pkix.Extension
		detail      string
	}{
		"two URIs, the right one first":    {names(right, name(6, "https://github.com/evil/app")), two},
		"two URIs, the right one last":     {names(name(6, "https://github.com/evil/app"), right), two},
		"the right URI twice":              {names(right, right), two},
		"a URI and an e-mail address":      {names(right, name(1, builder.Email)), two},
		"a URI and a host":                 {names(right, name(2, "github.com")), two},
		"a URI and a name of another kind": {names(right, other), two},
		"no names in the extension":        {names(), "has 0 alternative names"},
		"no extension for names":           {without(subjectAltName), "has 0 alternative names"},
		"an e-mail address":                {names(name(1, builder.Email)), "is for an e-mail address"},
		"an e-mail address like a URI":     {names(name(1, release().URI())), "is for an e-mail address"},
		"a host": {
			names(name(2, "github.com")),
			"is for a name of another kind, not for a URI",
		},
		"a name of another kind": {names(other), "is for a name of another kind, not for a URI"},
		"an empty URI":           {names(name(6, "")), "the name in its certificate has 0 bytes"},
		"an extension that is not a sequence": {
			altered(pkix.Extension{Id: subjectAltName, Value: []byte{12, 1, 'a'}}),
			"x509:",
		},
		"an extension with more behind": {
			altered(pkix.Extension{Id: subjectAltName, Value: append(names(right)(t)[0].Value, 5, 0)}),
			"names in its certificate are malformed",
		},
	} {
		for by, identity := range map[string]map[string]any{"pattern": pattern(), "URI": exact(), "build signer": built()} {
			cases["with "+kind+", by "+by] = identityCase{identity, test.certificate, test.detail}
		}
	}
	mail := map[string]any{"subjectEmail": builder.Email, "buildTrigger": "push"}
	cases["an e-mail address is needed, and it is a URI"] = identityCase{
		mail, release().Extensions, "is for a URI \"" + release().URI() + "\", not for an e-mail address",
	}
	cases["an e-mail address is needed, and there are two"] = identityCase{
		mail, names(name(1, builder.Email), name(1, "eve@example.com")), two,
	}
	cases["an e-mail address is needed, and it is another"] = identityCase{
		mail, names(name(1, "eve@example.com")), `not for the e-mail address "build@example.com"`,
	}
	return cases
}

// otherClaims have other claims than the requirement.
func otherClaims(t testing.TB) map[string]identityCase {
	t.Helper()
	cases := make(map[string]identityCase)
	for field, claim := range map[string]struct {
		number      int
		want, other string
		title       string
	}{
		"sourceRepositoryURI":      {12, release().Repository, release().Repository + "-fork", "source repository"},
		"sourceRepositoryRef":      {14, release().Ref, "refs/heads/main", "source repository ref"},
		"sourceRepositoryOwnerURI": {16, release().Owner, "https://github.com/acme-evil", "source repository owner"},
		"runnerEnvironment":        {11, "github-hosted", "self-hosted", "runner environment"},
		"buildTrigger":             {20, "push", "pull_request_target", "build trigger"},
	} {
		identity := and(exact(), field, claim.want)
		is := "the " + claim.title + " in its certificate is "
		cases[field+" is another"] = identityCase{identity, altered(signaturetest.Claim(t, claim.number, claim.other)), is}
		cases[field+" is in capitals"] = identityCase{
			identity, altered(signaturetest.Claim(t, claim.number, strings.ToUpper(claim.want))), is,
		}
		cases[field+" has a line feed behind"] = identityCase{
			identity, altered(signaturetest.Claim(t, claim.number, claim.want+"\n")), is,
		}
		cases[field+" is missing"] = identityCase{
			identity, without(signaturetest.FulcioExtension(claim.number)), "its certificate has no " + claim.title,
		}
	}
	cases["the build signer is missing"] = identityCase{
		built(), without(signaturetest.FulcioExtension(9)), "its certificate has no build signer",
	}
	cases["the build signer is another than the subject"] = identityCase{
		built(), altered(signaturetest.Claim(t, 9, "https://github.com/evil/app")), "the build signer in its certificate is",
	}
	cases["the issuer is missing"] = identityCase{
		exact(), func(t testing.TB) []pkix.Extension {
			t.Helper()
			return append(release().Extensions(t)[:1], signaturetest.Claim(t, 9, release().URI()))
		}, "has no OIDC issuer",
	}
	cases["the issuers differ, and the raw one is right"] = identityCase{
		exact(), altered(signaturetest.Claim(t, 8, "https://issuer.evil.example")), "several OIDC issuers",
	}
	cases["the issuers differ, and the one in DER is right"] = identityCase{
		exact(), altered(pkix.Extension{Id: signaturetest.FulcioExtension(1), Value: []byte("https://issuer.evil.example")}),
		"several OIDC issuers",
	}
	return cases
}

// malformedClaims have a claim with the right text that is not a UTF8String in DER.
func malformedClaims(t testing.TB) map[string]identityCase {
	t.Helper()
	ref := release().Ref
	length := byte(len(ref))
	cases := make(map[string]identityCase)
	for kind, value := range map[string]string{
		"as raw text":              ref,
		"as a printable string":    string([]byte{0x13, length}) + ref,
		"as an IA5 string":         string([]byte{0x16, length}) + ref,
		"as bytes":                 string([]byte{0x04, length}) + ref,
		"with more behind":         string([]byte{0x0c, length}) + ref + "\x00",
		"cut short":                string([]byte{0x0c, length + 1}) + ref,
		"with a long length":       string([]byte{0x0c, 0x81, length}) + ref,
		"in a sequence":            string([]byte{0x30, length + 2, 0x0c, length}) + ref,
		"in pieces":                string([]byte{0x2c, length + 2, 0x0c, length}) + ref,
		"as an empty string":       "\x0c\x00",
		"as nothing":               "",
		"as bytes that mean none":  "\xff\xff\xff\xff",
		"as text that is no UTF-8": "\x0c\x02\xff\xfe",
	} {
		extension := pkix.Extension{Id: signaturetest.FulcioExtension(14), Value: []byte(value)}
		cases["the ref "+kind] = identityCase{
			and(
				exact(),
				"sourceRepositoryRef",
				ref,
			),
			altered(extension),
			"the source repository ref in its certificate is malf",
		}
	}
	signer := pkix.Extension{Id: signaturetest.FulcioExtension(9), Value: []byte(release().URI())}
	cases["the build signer as raw text"] = identityCase{
		built(),
		altered(signer),
		"the build signer in its certificate is malf",
	}
	issuer := pkix.Extension{
		Id:    signaturetest.FulcioExtension(8),
		Value: append([]byte{0x16, byte(len(signaturetest.GitHub))}, signaturetest.GitHub...),
	}
	cases["the issuer as an IA5 string"] = identityCase{
		exact(),
		altered(issuer),
		"the OIDC issuer in its certificate is malf",
	}
	return cases
}
