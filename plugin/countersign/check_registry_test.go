package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCheckFetchesOnlyNeededAttestations, as the daemon does: whoever shows signers fetches all.
func TestCheckFetchesOnlyNeededAttestations(t *testing.T) {
	shop, directory := newShop(t), t.TempDir()
	shop.stock()
	attested := filepath.Join(directory, "attested.json")
	if err := errors.Join(
		writeConfig(directory, "node.toml", "deny"), shop.policy(directory),
		os.WriteFile(attested, []byte(`{"default": [{"type": "attested", "predicateType": "https://slsa.dev/provenance/v1",`+
			`"keyPath": "`+filepath.Join(directory, "shop.pub")+`"}]}`), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(directory, "node.toml")
	check := func(document string) []string {
		return []string{"check", "--config", config, "--image", "registry", "--system-policy", document}
	}
	for name, test := range map[string]struct {
		arguments []string
		status    int
		fetched   bool
	}{
		"a signature is required":     {check(filepath.Join(directory, "policy.json")), exitAdmitted, false},
		"an attestation is required":  {check(attested), exitDenied, true},
		"all signers are to be shown": {[]string{"policy", "show-signers", "--config", config}, exitAdmitted, true},
	} {
		t.Run(name, func(t *testing.T) {
			_ = shop.take()
			var stdout, stderr bytes.Buffer
			arguments := slices.Concat([]string{"countersign"}, test.arguments, []string{shop.repository() + ":v1"})
			if status := execute(arguments, &stdout, &stderr); status != test.status {
				t.Fatalf("status %d: %s%s", status, stdout.String(), stderr.String())
			}
			isAttestation := func(path string) bool { return strings.HasSuffix(path, ".att") }
			if asked := shop.take(); slices.ContainsFunc(asked, isAttestation) != test.fetched {
				t.Errorf("asked for %q", asked)
			}
		})
	}
}
