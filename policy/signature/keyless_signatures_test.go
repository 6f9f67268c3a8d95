package signature_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// Annotations of cosign's signatures.
const (
	signedIn    = "dev.cosignproject.cosign/signature"
	certifiedIn = "dev.sigstore.cosign/certificate"
	chainIn     = "dev.sigstore.cosign/chain"
	loggedIn    = "dev.sigstore.cosign/bundle"
	stampedIn   = "dev.sigstore.cosign/rfc3161timestamp"
)

var alice = signaturetest.Identity{Email: "alice@example.com", Issuer: "https://issuer.example"}

// with returns a signature with another annotation, or without one if the value is empty.
func with(s signaturetest.Signature, annotation, value string) signaturetest.Signature {
	s.Annotations = maps.Clone(s.Annotations)
	s.Annotations[annotation] = value
	if value == "" {
		delete(s.Annotations, annotation)
	}
	return s
}

// promised changes the log's promise in a signature.
func promised(t *testing.T, s signaturetest.Signature, change func(promise map[string]any)) signaturetest.Signature {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(s.Annotations[loggedIn]))
	decoder.UseNumber()
	var promise map[string]any
	if err := decoder.Decode(&promise); err != nil {
		t.Fatal(err)
	}
	change(promise)
	return with(s, loggedIn, data(promise))
}

// keylessSignatures are signatures as alice makes them, and others with one defect each, on one manifest.
func keylessSignatures(
	t *testing.T,
	ours *signaturetest.Sigstore,
	manifest digest.Digest,
) map[string][]signaturetest.Signature {
	t.Helper()
	const repository = "registry.example:5000/team/app"
	good := ours.Sign(t, alice, repository, manifest)
	other := ours.Sign(t, alice, repository, digest.FromString("other"))
	theirs := signaturetest.NewSigstore(t)
	at := func(issued time.Time, later time.Duration) signaturetest.Signature {
		return ours.SignAt(t, alice, repository, manifest, issued, later)
	}
	eve := signaturetest.Identity{Email: "eve@example.com", Issuer: alice.Issuer}
	elsewhere := signaturetest.Identity{Email: alice.Email, Issuer: "https://elsewhere.example"}
	key := signaturetest.NewKey(t)
	leaf := good.Annotations[certifiedIn]
	payloadChanged := good
	payloadChanged.Payload = append([]byte(" "), good.Payload...)
	attachment := good
	attachment.MediaType = "text/plain"
	one := func(s signaturetest.Signature) []signaturetest.Signature { return []signaturetest.Signature{s} }
	all := map[string][]signaturetest.Signature{
		"good":                   one(good),
		"good, after others":     {other, attachment, good},
		"none":                   nil,
		"for a tag":              one(ours.Sign(t, alice, repository+":v1", manifest)),
		"for another repository": one(ours.Sign(t, alice, "registry.example:5000/team/other", manifest)),
		"for no name":            one(ours.Sign(t, alice, "", manifest)),
		"of another manifest":    one(other),
		"by another person":      one(ours.Sign(t, eve, repository, manifest)),
		"by another issuer":      one(ours.Sign(t, elsewhere, repository, manifest)),
		"by another authority":   one(theirs.Sign(t, alice, repository, manifest)),
		"in another log":         one(good.Logged(t, theirs.Log, []byte(leaf), time.Now().Add(-time.Hour))),
		"as a key":               one(signaturetest.Sign(t, key, repository, manifest)),
		"as a key, in the log": one(
			signaturetest.Sign(t, key, repository, manifest).
				Logged(t, ours.Log, signaturetest.PublicPEM(t, key.Public()), time.Now()),
		),
		"recorded before the certificate": one(at(time.Now().Add(-time.Hour), -time.Minute)),
		"recorded after it had expired":   one(at(time.Now().Add(-time.Hour), 11*time.Minute)),
		"recorded as it expired":          one(at(time.Now().Add(-time.Hour), 10*time.Minute)),
		"of before the authority":         one(at(time.Now().Add(-72*time.Hour), time.Minute)),
		"an attachment":                   one(attachment),
		"another payload":                 one(payloadChanged),
		"another signature":               one(with(good, signedIn, other.Annotations[signedIn])),
		"no signature":                    one(with(good, signedIn, "")),
		"a signature that is not base64":  one(with(good, signedIn, "!")),
		"no certificate":                  one(with(good, certifiedIn, "")),
		"a certificate that is none":      one(with(good, certifiedIn, "-----BEGIN CERTIFICATE-----")),
		"two certificates":                one(with(good, certifiedIn, leaf+leaf)),
		"another signer's certificate":    one(with(good, certifiedIn, other.Annotations[certifiedIn])),
		"no chain":                        one(with(good, chainIn, "")),
		"a chain of the root alone":       one(with(good, chainIn, string(ours.Root.PEM))),
		"a chain that is none":            one(with(good, chainIn, "x")),
		"a chain with a broken block": one(
			with(good, chainIn, "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"),
		),
		"another chain":               one(with(good, chainIn, string(theirs.Intermediate.PEM)+string(theirs.Root.PEM))),
		"no promise":                  one(with(good, loggedIn, "")),
		"a promise that is no JSON":   one(with(good, loggedIn, "x")),
		"a promise that is an array":  one(with(good, loggedIn, "[]")),
		"a promise of nothing":        one(with(good, loggedIn, "{}")),
		"another signature's promise": one(with(good, loggedIn, other.Annotations[loggedIn])),
		"a promise with data behind":  one(with(good, loggedIn, good.Annotations[loggedIn]+"x")),
	}
	for name, change := range promiseChanges() {
		all["a promise with "+name] = one(promised(t, good, change))
	}
	for name, body := range bodies(good, other) {
		all["an entry "+name] = one(logBody(t, ours, good, body))
	}
	return all
}

// promiseChanges are changes of what the log has not signed, or that it has not signed so.
func promiseChanges() map[string]func(map[string]any) {
	payload := func(change func(map[string]any)) func(map[string]any) {
		return func(promise map[string]any) { change(promise["Payload"].(map[string]any)) }
	}
	return map[string]func(map[string]any){
		"one more key":            func(p map[string]any) { p["more"] = 1 },
		"no signature":            func(p map[string]any) { delete(p, "SignedEntryTimestamp") },
		"an empty signature":      func(p map[string]any) { p["SignedEntryTimestamp"] = "" },
		"a null signature":        func(p map[string]any) { p["SignedEntryTimestamp"] = nil },
		"a signature in an array": func(p map[string]any) { p["SignedEntryTimestamp"] = []int{1} },
		"no payload":              func(p map[string]any) { delete(p, "Payload") },
		"a null payload":          func(p map[string]any) { p["Payload"] = nil },
		"another time":            payload(func(p map[string]any) { p["integratedTime"] = time.Now().Unix() }),
		"another index":           payload(func(p map[string]any) { p["logIndex"] = 2 }),
		"another log":             payload(func(p map[string]any) { p["logID"] = "00" }),
		"another body":            payload(func(p map[string]any) { p["body"] = "e30=" }),
		"one more in the payload": payload(func(p map[string]any) { p["more"] = 1 }),
		// The log has signed the canonical form, which is the same.
		"a time as a fraction": payload(func(p map[string]any) {
			p["integratedTime"] = json.Number(p["integratedTime"].(json.Number).String() + ".0")
		}),
	}
}

// bodies are entries that a log may have signed.
func bodies(good, other signaturetest.Signature) map[string]string {
	var promise struct {
		Payload struct{ Body []byte }
	}
	if err := json.Unmarshal([]byte(good.Annotations[loggedIn]), &promise); err != nil {
		panic(err)
	}
	body := string(promise.Payload.Body)
	replaced := func(old, new string) string { return strings.Replace(body, old, new, 1) }
	leaf := base64.StdEncoding.EncodeToString([]byte(good.Annotations[certifiedIn]))
	return map[string]string{
		"as it is":           body,
		"with spaces":        " " + body,
		"with one more key":  replaced(`{`, `{"more":1,`),
		"of no kind":         replaced(`"kind":"hashedrekord"`, `"x":1`),
		"of another kind":    replaced("hashedrekord", "rekord"),
		"of another version": replaced(`"0.0.1"`, `"0.0.2"`),
		"of no version":      replaced(`"apiVersion":"0.0.1"`, `"x":1`),
		"with another hash":  replaced(`"sha256"`, `"sha512"`),
		"with the certificate of another": replaced(leaf,
			base64.StdEncoding.EncodeToString([]byte(other.Annotations[certifiedIn]))),
		"with the signature of another": replaced(good.Annotations[signedIn], other.Annotations[signedIn]),
		"with the hash of another payload": regexp.MustCompile(`"value":"[0-9a-f]{8}`).
			ReplaceAllString(body, `"value":"00000000`),
		"with a hash that is none": replaced(`"value":"`, `"value":"x`),
		"without a hash":           replaced(`"hash"`, `"mash"`),
		"without data":             replaced(`"data"`, `"beta"`),
		"without a signature":      replaced(`"signature"`, `"nothing"`),
		"without a certificate":    replaced(`"publicKey"`, `"nothing"`),
		"with another certificate": replaced(leaf, leaf[:len(leaf)-8]),
		"with a certificate and more": replaced(
			leaf,
			base64.StdEncoding.EncodeToString([]byte(good.Annotations[certifiedIn]+"x")),
		),
		"without spec":                  replaced(`"spec"`, `"speck"`),
		"that is no JSON":               "x",
		"that is an array":              "[]",
		"with the signature in capital": replaced(`"signature"`, `"Signature"`),
		"of a kind in capitals":         replaced(`"kind"`, `"KIND"`),
		"with the kind twice":           replaced(`{`, `{"kind":"rekord",`),
	}
}

// logBody makes the log sign another body.
func logBody(
	t *testing.T,
	ours *signaturetest.Sigstore,
	good signaturetest.Signature,
	body string,
) signaturetest.Signature {
	t.Helper()
	return promised(t, good, func(promise map[string]any) {
		payload := promise["Payload"].(map[string]any)
		payload["body"] = base64.StdEncoding.EncodeToString([]byte(body))
		promise["SignedEntryTimestamp"] = signaturetest.SignRaw(t, ours.Log, []byte(data(payload)))
	})
}
