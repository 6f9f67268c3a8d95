package signature_test

import (
	"strings"
)

const (
	acceptList = `[{"type":"insecureAcceptAnything"}]`
	rejectList = `[{"type":"reject"}]`
	someKey    = `"keyData":"YWJj"`
)

// transports is the beginning of a document, up to the value of its transports.
const transports = `{"default":` + rejectList + `,"transports":`

func sigstore(trust string) string { return list(sigstoreSigned(trust, "")) }

func gpg(keys string) string { return list(signedBy(keys, "")) }

func identity(object string) string { return list(sigstoreSigned(someKey, object)) }

func list(requirement string) string { return `{"default":[` + requirement + `]}` }

func scoped(transport, scope, requirements string) string {
	return transports + `{` + data(transport) + `:{` + data(scope) + `:` +
		requirements + `}}}`
}

// goodDocuments are documents that load.
func goodDocuments() map[string]string {
	fulcio := `"fulcio":{"caData":"YWJj","oidcIssuer":"i","subjectEmail":"e"}`
	return map[string]string{
		"a default alone":                `{"default":` + rejectList + `}`,
		"no transports":                  transports + `{}}`,
		"a transport without scopes":     transports + `{"docker":{}}}`,
		"white space":                    " \t\r\n{ \"default\" : [ { \"type\" : \"reject\" } ] } \n",
		"the transport's default":        scoped("docker", "", acceptList),
		"a wildcard":                     scoped("docker", "*.example.com", acceptList),
		"a scope that never matches":     scoped("docker", "NOT a reference", acceptList),
		"a scope of control characters":  scoped("docker", "\x00\n", acceptList),
		"an unknown transport":           scoped("atomic", "x", acceptList),
		"a transport without a name":     scoped("", "x", acceptList),
		"a directory":                    scoped("dir", "/srv/images", acceptList),
		"a layout":                       scoped("oci", "/srv/images", acceptList),
		"a transport that is not linked": scoped("docker-daemon", "///", acceptList),
		"the same scope in two transports": transports + `{"docker":{"x":` + rejectList + `},"atomic":{"x":` +
			rejectList + `}}}`,
		"escapes in names": `{"def\u0061ult":` + rejectList +
			`,"transports":{"d\u006fcker":{"\u0061\/b":` + rejectList + `}}}`,
		"a scope of bytes that are no UTF-8": transports + `{"docker":{"a` + "\xff" + `":` + rejectList + `}}}`,
		"half a surrogate pair":              transports + `{"docker":{"\ud800":` + rejectList + `}}}`,
		"several requirements":               list(`{"type":"reject"},{"type":"insecureAcceptAnything"},{"type":"reject"}`),
		"a base layer":                       list(`{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}`),
		"a key":                              sigstore(someKey),
		"a key of no bytes":                  sigstore(`"keyData":""`),
		"a key in numbers":                   sigstore(`"keyData":[1,2,3]`),
		"a key in lines":                     sigstore(`"keyData":"YW\nJj"`),
		"a key and an empty path":            sigstore(someKey + `,"keyPath":""`),
		"a key and a path that is null":      sigstore(someKey + `,"keyPath":null`),
		"a path and a key that is null":      sigstore(`"keyPath":"/k","keyData":null`),
		"several keys":                       sigstore(`"keyDatas":["YWJj","ZGVm"]`),
		"several keys, one of them null":     sigstore(`"keyDatas":["YWJj",null]`),
		"a path":                             sigstore(`"keyPath":"/k"`),
		"several paths":                      sigstore(`"keyPaths":["/k","","relative"]`),
		"a key and a log":                    sigstore(someKey + `,"rekorPublicKeyPath":"/r"`),
		"a key and logs":                     sigstore(someKey + `,"rekorPublicKeyDatas":["YWJj"]`),
		"a key and a log that is null":       sigstore(someKey + `,"rekorPublicKeyData":null`),
		"keyless":                            sigstore(fulcio + `,"rekorPublicKeyData":"YWJj"`),
		"keyless, by paths": sigstore(`"fulcio":{"caPath":"/c","oidcIssuer":"i",` +
			`"subjectEmail":"e"},"rekorPublicKeyPaths":["/r"]`),
		"an authority": sigstore(`"pki":{"caRootsData":"YWJj","subjectHostname":"h"}`),
		"an authority, by paths": sigstore(`"pki":{"caRootsPath":"/r","caIntermediatesPath":"/i",` +
			`"subjectEmail":"e"}`),
		"an authority, with nulls": sigstore(`"pki":{"caRootsPath":"/r","caRootsData":null,` +
			`"caIntermediatesPath":"","subjectEmail":"e","subjectHostname":null}`),
		"an authority without a person":       sigstore(`"pki":{"caRootsPath":"/r","subjectEmail":"","subjectHostname":"h"}`),
		"GPG":                                 gpg(someKey),
		"GPG, a path":                         gpg(`"keyPath":"/k"`),
		"GPG, no paths":                       gpg(`"keyPaths":[]`),
		"GPG, a kind of key that never works": list(`{"type":"signedBy","keyType":"X509Certificates","keyPath":"/k"}`),
		"matchExact":                          identity(`{"type":"matchExact"}`),
		"matchRepoDigestOrExact":              identity(`{"type":"matchRepoDigestOrExact"}`),
		"matchRepository":                     list(signedBy(someKey, matchRepository)),
		"exactReference":                      identity(`{"type":"exactReference","dockerReference":"busybox:latest"}`),
		"exactRepository":                     identity(`{"type":"exactRepository","dockerRepository":"busybox"}`),
		"remapIdentity": list(sigstoreSigned(someKey,
			`{"type":"remapIdentity","prefix":"mirror.example:5000","signedPrefix":"example.com/a"}`)),
		"values that are no UTF-8": sigstore(`"keyPath":"/k` + "\xff" + `"`),
	}
}

// badDocuments are documents that do not load.
func badDocuments() map[string]string {
	fulcio := `"fulcio":{"caData":"YWJj","oidcIssuer":"i","subjectEmail":"e"}`
	documents := map[string]string{
		"nothing":                         "",
		"white space alone":               " \n",
		"null":                            "null",
		"an array":                        "[]",
		"a string":                        `"default"`,
		"an empty object":                 "{}",
		"the default alone is missing":    `{"transports":{}}`,
		"the default is null":             `{"default":null}`,
		"the default is empty":            `{"default":[]}`,
		"the default is an object":        `{"default":{"type":"reject"}}`,
		"the default is a string":         `{"default":"reject"}`,
		"the default twice":               `{"default":` + rejectList + `,"default":` + rejectList + `}`,
		"the default twice, once escaped": `{"default":` + rejectList + `,"d\u0065fault":` + rejectList + `}`,
		"an unknown key":                  `{"default":` + rejectList + `,"defaults":1}`,
		"a key in another case":           `{"Default":` + rejectList + `}`,
		"an empty key":                    `{"default":` + rejectList + `,"":1}`,
		"a comment":                       "{\"default\":" + rejectList + "} // so be it",
		"a comment inside":                "{/**/\"default\":" + rejectList + "}",
		"a trailing comma":                `{"default":` + rejectList + `,}`,
		"a trailing comma in a list":      `{"default":[{"type":"reject"},]}`,
		"a missing comma":                 `{"default":` + rejectList + `"transports":{}}`,
		"a missing colon":                 `{"default"` + rejectList + `}`,
		"two documents":                   `{"default":` + rejectList + `}{"default":` + rejectList + `}`,
		"data after the document":         `{"default":` + rejectList + `}x`,
		"a closing brace too many":        `{"default":` + rejectList + `}}`,
		"cut short":                       `{"default":` + rejectList,
		"cut short in a name":             `{"default":` + rejectList + `,"transp`,
		"single quotes":                   `{'default':[{'type':'reject'}]}`,
		"a byte order mark":               "\xef\xbb\xbf" + `{"default":` + rejectList + `}`,
		"a control character in a string": "{\"default\":[{\"type\":\"reject\n\"}]}",
		"an escape that is none":          `{"default":[{"type":"re\xject"}]}`,
		"transports null":                 transports + `null}`,
		"transports an array":             transports + `[]}`,
		"transports twice":                transports + `{},"transports":{}}`,
		"a transport null":                transports + `{"docker":null}}`,
		"a transport that is a list":      transports + `{"docker":` + rejectList + `}}`,
		"a transport twice":               transports + `{"docker":{},"docker":{}}}`,
		"an unknown transport twice":      transports + `{"x":{},"x":{}}}`,
		"a scope twice":                   transports + `{"docker":{"a":` + rejectList + `,"a":` + rejectList + `}}}`,
		"a scope twice, once escaped": transports + `{"docker":{"a":` + rejectList + `,"\u0061":` +
			rejectList + `}}}`,
		"two scopes that are no UTF-8": transports + `{"docker":{"` + "\xff" + `":` + rejectList + `,"` +
			"\xfe" + `":` + rejectList + `}}}`,
		"invalid UTF-8 and U+FFFD": transports + `{"docker":{"` + "\xff" + `":` + rejectList +
			`,"\ufffd":` + rejectList + `}}}`,
		"a scope twice in an unknown transport": transports + `{"x":{"a":` + rejectList + `,"a":` + rejectList + `}}}`,
		"a scope null":                          transports + `{"docker":{"a":null}}}`,
		"a scope with an empty list":            scoped("docker", "a", "[]"),
		"a scope of another transport, empty":   scoped("x", "a", "[]"),
		"a scope of another transport, wrong":   scoped("x", "a", `[{"type":"nonsense"}]`),
		"a relative directory":                  scoped("dir", "images", acceptList),
		"the root directory":                    scoped("dir", "/", acceptList),
		"a directory that is not clean":         scoped("dir", "/a/../b", acceptList),
		"a relative layout":                     scoped("oci", "images", acceptList),
		"a layout that is not clean":            scoped("oci", "/a//b", acceptList),
		"a list in a list":                      `{"default":[` + rejectList + `]}`,
		"a requirement null":                    list("null"),
		"a requirement that is a string":        list(`"reject"`),
		"a requirement without a type":          list("{}"),
		"a type null":                           list(`{"type":null}`),
		"a type in another case":                list(`{"type":"Reject"}`),
		"the word type in another case":         list(`{"Type":"reject"}`),
		"an unknown type":                       list(`{"type":"signed"}`),
		"a type twice":                          list(`{"type":"reject","type":"reject"}`),
		"a reject with more":                    list(`{"type":"reject","keyPath":"/k"}`),
		"a base layer without identity":         list(`{"type":"signedBaseLayer"}`),
		"no key":                                sigstore(`"keyPath":""`),
		"no key at all":                         list(`{"type":"sigstoreSigned"}`),
		"two keys":                              sigstore(someKey + `,"keyPath":"/k"`),
		"a key that is not base64":              sigstore(`"keyData":"%"`),
		"a key that is a number":                sigstore(`"keyData":1`),
		"an empty list of keys":                 sigstore(`"keyDatas":[]`),
		"an empty list of paths":                sigstore(`"keyPaths":[]`),
		"a list of paths that is null":          sigstore(`"keyPaths":null`),
		"paths where one is meant":              sigstore(`"keyPath":["/k"]`),
		"an unknown member":                     sigstore(someKey + `,"keyID":"1"`),
		"a member in another case":              sigstore(someKey + `,"KeyPath":""`),
		"a member twice":                        sigstore(someKey + `,` + someKey),
		"GPG's key type with sigstore":          sigstore(someKey + `,"keyType":"GPGKeys"`),
		"two logs": sigstore(someKey +
			`,"rekorPublicKeyPath":"/r","rekorPublicKeyData":"YWJj"`),
		"an empty list of logs": sigstore(someKey + `,"rekorPublicKeyPaths":[]`),
		"keyless without a log": sigstore(fulcio),
		"keyless null":          sigstore(`"fulcio":null,"rekorPublicKeyPath":"/r"`),
		"keyless without an authority": sigstore(`"fulcio":{"oidcIssuer":"i","subjectEmail":"e"},` +
			`"rekorPublicKeyPath":"/r"`),
		"keyless without an issuer": sigstore(`"fulcio":{"caPath":"/c","subjectEmail":"e"},` +
			`"rekorPublicKeyPath":"/r"`),
		"keyless without a person": sigstore(`"fulcio":{"caPath":"/c","oidcIssuer":"i",` +
			`"subjectEmail":""},"rekorPublicKeyPath":"/r"`),
		"keyless with two authorities": sigstore(`"fulcio":{"caPath":"/c","caData":"YWJj",` +
			`"oidcIssuer":"i","subjectEmail":"e"},"rekorPublicKeyPath":"/r"`),
		"keyless and a key": sigstore(someKey + `,` + fulcio + `,"rekorPublicKeyPath":"/r"`),
		"keyless with more": sigstore(`"fulcio":{"caPath":"/c","oidcIssuer":"i",` +
			`"subjectEmail":"e","uri":"u"},"rekorPublicKeyPath":"/r"`),
		"an authority and a log": sigstore(`"pki":{"caRootsPath":"/r","subjectEmail":"e"},` +
			`"rekorPublicKeyPath":"/r"`),
		"an authority for no one":    sigstore(`"pki":{"caRootsPath":"/r"}`),
		"an authority without roots": sigstore(`"pki":{"subjectEmail":"e","caIntermediatesPath":"/i"}`),
		"an authority with two roots": sigstore(`"pki":{"caRootsPath":"/r","caRootsData":"YWJj",` +
			`"subjectEmail":"e"}`),
		"an authority with intermediates twice": sigstore(`"pki":{"caRootsPath":"/r","caIntermediatesPath":"/i",` +
			`"caIntermediatesData":"","subjectEmail":"e"}`),
		"GPG without a key type":                list(`{"type":"signedBy","keyPath":"/k"}`),
		"GPG with an unknown key type":          list(`{"type":"signedBy","keyType":"gpgkeys","keyPath":"/k"}`),
		"GPG without keys":                      gpg(`"keyPath":""`),
		"GPG with paths that are null":          gpg(`"keyPaths":null`),
		"GPG with a key and an empty path":      gpg(someKey + `,"keyPath":""`),
		"GPG with several keys in data":         gpg(`"keyDatas":["YWJj"]`),
		"GPG with a log":                        gpg(someKey + `,"rekorPublicKeyPath":"/r"`),
		"an identity null":                      identity("null"),
		"an identity without a type":            identity("{}"),
		"an identity of an unknown type":        identity(`{"type":"matchDigest"}`),
		"an identity that is a string":          identity(`"matchExact"`),
		"matchExact with more":                  identity(`{"type":"matchExact","dockerReference":"a:b"}`),
		"exactReference without a tag":          identity(`{"type":"exactReference","dockerReference":"busybox"}`),
		"exactReference without a reference":    identity(`{"type":"exactReference"}`),
		"exactReference with a bad one":         identity(`{"type":"exactReference","dockerReference":"UPPER:1"}`),
		"exactRepository with a bad one":        identity(`{"type":"exactRepository","dockerRepository":"UPPER"}`),
		"exactRepository with another's member": identity(`{"type":"exactRepository","dockerReference":"a"}`),
		"remapIdentity without the signed one":  identity(`{"type":"remapIdentity","prefix":"example.com"}`),
		"remapIdentity with a bad prefix": identity(`{"type":"remapIdentity","prefix":"example.com/",` +
			`"signedPrefix":"a.b"}`),
		"remapIdentity with a name for a prefix": identity(`{"type":"remapIdentity","prefix":"exa mple",` +
			`"signedPrefix":"a.b"}`),
		"a number that is none": list(`{"type":01}`),
		"nesting without end":   `{"default":` + strings.Repeat("[", 20000),
		"nesting": `{"default":` + strings.Repeat("[", 11000) + strings.Repeat("]",
			11000) + `}`,
		"nesting where it is skipped over": identity(strings.Repeat(`{"a":`, 9999) + "1" + strings.Repeat("}", 9999)),
	}
	return documents
}
