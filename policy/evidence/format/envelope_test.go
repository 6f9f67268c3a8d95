package format_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/evidence/format"
)

const (
	certificateAnnotation = "dev.sigstore.cosign/certificate"
	chainAnnotation       = "dev.sigstore.cosign/chain"
	promiseAnnotation     = "dev.sigstore.cosign/bundle"
)

// provenance is a statement, and envelopeOf a DSSE envelope with it.
const provenance = `{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v1"}`

func envelopeOf(payload []byte) []byte {
	return fmt.Appendf(nil, `{"payloadType":"application/vnd.in-toto+json","payload":%q,`+
		`"signatures":[{"keyid":"","sig":"c2ln"}]}`, base64.StdEncoding.EncodeToString(payload))
}

// promised is the annotation with a log's promise about an entry with that body.
func promised(body string) string {
	return fmt.Sprintf(`{"SignedEntryTimestamp":"c2V0","Payload":{"body":%q,"integratedTime":1700000000,"logIndex":7,`+
		`"logID":"0a0b"}}`, base64.StdEncoding.EncodeToString([]byte(body)))
}

const dsseEntry = `{"apiVersion":"0.0.1","kind":"dsse","spec":{}}`

// certificateOf returns a certificate in PEM that one has issued for another.
func certificateOf(t testing.TB, subject, issuer string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject}}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// decoded is what a bundle says, read without the code that wrote it.
type decoded struct {
	MediaType string `json:"mediaType"`
	Material  struct {
		PublicKey *struct{} `json:"publicKey"`
		Chain     struct {
			Certificates []struct {
				RawBytes []byte `json:"rawBytes"`
			} `json:"certificates"`
		} `json:"x509CertificateChain"`
		Entries []struct {
			LogIndex       string                         `json:"logIndex"`
			LogID          struct{ KeyID []byte }         `json:"logId"`
			Kind           struct{ Kind, Version string } `json:"kindVersion"`
			IntegratedTime string                         `json:"integratedTime"`
			Promise        struct {
				SignedEntryTimestamp []byte `json:"signedEntryTimestamp"`
			} `json:"inclusionPromise"`
			Body []byte `json:"canonicalizedBody"`
		} `json:"tlogEntries"`
	} `json:"verificationMaterial"`
	Envelope struct {
		Payload    []byte
		Signatures []struct{ Sig []byte }
	} `json:"dsseEnvelope"`
}

func TestAnOldAttestationBecomesABundle(t *testing.T) {
	signer, above := certificateOf(t, "signer", "intermediate"), certificateOf(t, "intermediate", "root")
	for name, test := range map[string]struct {
		annotations           map[string]string
		certificates, entries int
	}{
		"by a key":         {nil, 0, 0},
		"by a certificate": {map[string]string{certificateAnnotation: signer}, 1, 0},
		"with a chain":     {map[string]string{certificateAnnotation: signer, chainAnnotation: above}, 2, 0},
		"with a root": {map[string]string{
			certificateAnnotation: signer, chainAnnotation: above + certificateOf(t, "root", "root"),
		}, 2, 0},
		"a chain without it": {map[string]string{chainAnnotation: above}, 0, 0},
		"in a log":           {map[string]string{promiseAnnotation: promised(dsseEntry)}, 0, 1},
		"in no log":          {map[string]string{promiseAnnotation: "null"}, 0, 0},
		"with a timestamp": {map[string]string{
			"dev.sigstore.cosign/rfc3161timestamp": `{"SignedRFC3161Timestamp":"c2ln"}`,
		}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := format.AttestationFile(envelopeOf([]byte(provenance)), test.annotations)
			if err != nil {
				t.Fatal(err)
			}
			again, err := format.AttestationFile(envelopeOf([]byte(provenance)), test.annotations)
			if err != nil || !bytes.Equal(file, again) {
				t.Errorf("it is %s and then %s: %v", file, again, err)
			}
			var got decoded
			if err := json.Unmarshal(file, &got); err != nil {
				t.Fatal(err)
			}
			if got.MediaType != "application/vnd.dev.sigstore.bundle+json;version=0.1" ||
				string(got.Envelope.Payload) != provenance || string(got.Envelope.Signatures[0].Sig) != "sig" ||
				len(got.Material.Chain.Certificates) != test.certificates ||
				(got.Material.PublicKey != nil) != (test.certificates == 0) || len(got.Material.Entries) != test.entries ||
				bytes.Contains(file, []byte("imestampVerificationData")) {
				t.Errorf("%s", file)
			}
			if test.entries == 1 {
				entry := got.Material.Entries[0]
				if entry.LogIndex != "7" || string(entry.LogID.KeyID) != "\x0a\x0b" || entry.Kind.Kind != "dsse" ||
					entry.Kind.Version != "0.0.1" || entry.IntegratedTime != "1700000000" ||
					string(entry.Promise.SignedEntryTimestamp) != "set" || string(entry.Body) != dsseEntry {
					t.Errorf("%+v", entry)
				}
			}
			parsed, err := format.ParseBundle(file)
			if err != nil || !parsed.Attestation() || (len(parsed.Certificate) > 0) != (test.certificates > 0) {
				t.Errorf("it is read as %+v: %v", parsed, err)
			}
		})
	}
}

func TestWhatIsNoOldAttestationIsRefused(t *testing.T) {
	good := envelopeOf([]byte(provenance))
	for name, test := range map[string]struct {
		envelope    []byte
		annotations map[string]string
		want        string
	}{
		"nothing":              {nil, nil, "not a DSSE envelope"},
		"no JSON":              {[]byte("{"), nil, "not a DSSE envelope"},
		"without a payload":    {[]byte(`{"signatures":[{"sig":"c2ln"}]}`), nil, "no payload or no signature"},
		"without a signature":  {[]byte(`{"payload":"e30="}`), nil, "no payload or no signature"},
		"a payload as a text":  {[]byte(`{"payload":"{}","signatures":[{"sig":"c2ln"}]}`), nil, "not a DSSE envelope"},
		"a promise of no form": {good, map[string]string{promiseAnnotation: "{"}, "reading the log's promise"},
		"a promise of no log": {good, map[string]string{
			promiseAnnotation: `{"Payload":{"logID":"x","body":"e30="}}`,
		}, "reading the log's ID"},
		"a promise of nothing": {good, map[string]string{promiseAnnotation: "{}"}, "reading the log's entry"},
		"too many certificates": {good, map[string]string{
			certificateAnnotation: strings.Repeat(certificateOf(t, "a", "b"), 10),
		}, "more than 9 certificates"},
		"too large": {
			envelopeOf(bytes.Repeat([]byte("x"), format.MaxAttestation)), nil, "and an attestation has at most",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := format.AttestationFile(test.envelope, test.annotations); err == nil ||
				!strings.Contains(err.Error(), test.want) || len(err.Error()) > 300 {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// TestAnOldAttestationIsAsLargeAsItsLimit also tests that a byte more is refused. The hint of the key fills the bundle.
func TestAnOldAttestationIsAsLargeAsItsLimit(t *testing.T) {
	hinted := func(size int) ([]byte, error) {
		return format.AttestationFile(fmt.Appendf(nil, `{"payload":"e30=","signatures":[{"sig":"c2ln","keyid":%q}]}`,
			strings.Repeat("x", size)), nil)
	}
	one, err := hinted(1)
	if err != nil {
		t.Fatal(err)
	}
	size := 1 + format.MaxAttestation - len(one)
	if file, err := hinted(size); err != nil || len(file) != format.MaxAttestation {
		t.Errorf("of %d bytes: %d bytes, %v", format.MaxAttestation, len(file), err)
	}
	if _, err := hinted(size + 1); err == nil {
		t.Errorf("%d bytes are accepted", format.MaxAttestation+1)
	}
}

// FuzzAttestationFile: what is converted is a bundle with the same statement.
func FuzzAttestationFile(f *testing.F) {
	f.Add(envelopeOf([]byte(provenance)), certificateOf(f, "signer", "intermediate"), promised(dsseEntry))
	f.Add(envelopeOf([]byte("{}")), "", "null")
	f.Add([]byte(`{"payload":"e30=","signatures":[{"sig":null}]}`), "-----BEGIN", promised("{"))
	f.Fuzz(func(t *testing.T, envelope []byte, certificate, promise string) {
		annotations := map[string]string{certificateAnnotation: certificate, promiseAnnotation: promise}
		file, err := format.AttestationFile(envelope, annotations)
		if err != nil {
			return
		}
		var read struct{ Payload []byte }
		if err := json.Unmarshal(envelope, &read); err != nil {
			t.Fatal(err)
		}
		parsed, err := format.ParseBundle(file)
		if err != nil && len(file) <= format.MaxFile {
			t.Fatalf("%s: %v", file, err)
		}
		if err == nil && !bytes.Equal(parsed.Payload, read.Payload) {
			t.Errorf("the payload %q became %q", read.Payload, parsed.Payload)
		}
	})
}
