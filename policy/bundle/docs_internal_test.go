package bundle

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/itchyny/gojq"
)

// The page shows how to extract the public Sigstore's certificates and log key from its trusted root. The test uses
// gojq instead of jq, and a trusted root of the test data instead of cosign's output.
func TestTheFiltersInTheDocsReadATrustedRoot(t *testing.T) {
	page, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	var root any
	if err := json.Unmarshal(publicFile(t, "public-good.json"), &root); err != nil {
		t.Fatal(err)
	}
	var certificates, keys int
	for _, filter := range regexp.MustCompile(`jq -r '([^']+)' root.json`).FindAllSubmatch(page, -1) {
		for _, der := range decoded(t, string(filter[1]), root) {
			if _, err := x509.ParseCertificate(der); err == nil {
				certificates++
			} else if _, err := x509.ParsePKIXPublicKey(der); err == nil {
				keys++
			} else {
				t.Errorf("jq -r '%s' prints neither a certificate nor a public key", filter[1])
			}
		}
	}
	if certificates != 3 || keys != 1 {
		t.Errorf("the filters find %d certificates and %d keys, want 3 and 1", certificates, keys)
	}
}

// decoded returns the results of a filter on a document, decoded from base64.
func decoded(t *testing.T, filter string, document any) (found [][]byte) {
	t.Helper()
	query, err := gojq.Parse(filter)
	if err != nil {
		t.Fatalf("%s: %v", filter, err)
	}
	results := query.RunWithContext(t.Context(), document)
	for result, ok := results.Next(); ok; result, ok = results.Next() {
		text, _ := result.(string)
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatalf("%s: %v (%v)", filter, result, err)
		}
		found = append(found, der)
	}
	return found
}
