package claim

import (
	"crypto/x509"
	"encoding/asn1"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fulcioArc begins the object identifiers of Fulcio's extensions (fulcio, docs/oid-info.md).
const fulcioArc = "1.3.6.1.4.1.57264.1."

// Extension is an extension of a certificate of Fulcio: what the issuer vouched for. Its JSON is a public interface.
type Extension struct {
	// OID is its object identifier, and Name what Fulcio calls it; empty: not known.
	OID  string `json:"oid"`
	Name string `json:"name,omitempty"`
	// Field is the name of the field in "fulcio" of a policy that compares it; empty: there is none.
	Field string `json:"field,omitempty"`
	Value string `json:"value"`
}

// fulcioNames are the names of the extensions by the last number of their identifiers.
func fulcioNames() map[int]string {
	return map[int]string{
		1: "Issuer", 2: "GitHub Workflow Trigger", 3: "GitHub Workflow SHA", 4: "GitHub Workflow Name",
		5: "GitHub Workflow Repository", 6: "GitHub Workflow Ref", 7: "OtherName SAN", 8: "Issuer (V2)",
		9: "Build Signer URI", 10: "Build Signer Digest", 11: "Runner Environment", 12: "Source Repository URI",
		13: "Source Repository Digest", 14: "Source Repository Ref", 15: "Source Repository Identifier",
		16: "Source Repository Owner URI", 17: "Source Repository Owner Identifier", 18: "Build Config URI",
		19: "Build Config Digest", 20: "Build Trigger", 21: "Run Invocation URI",
		22: "Source Repository Visibility At Signing",
	}
}

// policyFields are the fields of policies that compare an extension.
func policyFields() map[int]string {
	return map[int]string{
		8: "oidcIssuer", 9: "buildSignerURI", 11: "runnerEnvironment", 12: "sourceRepositoryURI",
		14: "sourceRepositoryRef", 16: "sourceRepositoryOwnerURI", 20: "buildTrigger",
	}
}

// extensionsOf returns the extensions of Fulcio in a certificate, in its order.
func extensionsOf(certificate *x509.Certificate) (all []Extension) {
	for _, extension := range certificate.Extensions {
		number, ok := strings.CutPrefix(extension.Id.String(), fulcioArc)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		// Those up to 6 are bare strings, the others strings in DER.
		var value string
		if rest, err := asn1.Unmarshal(extension.Value, &value); n <= 6 || err != nil || len(rest) > 0 {
			value = string(extension.Value)
		}
		if !utf8.ValidString(value) {
			value = strconv.QuoteToASCII(value)
		}
		all = append(all, Extension{
			OID: extension.Id.String(), Name: fulcioNames()[n], Field: policyFields()[n], Value: value,
		})
	}
	return all
}
