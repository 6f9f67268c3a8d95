package kubeletcreds_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/registry/kubeletcreds"
	"github.com/countersign/countersign/policy/registry/kubeletcreds/credstest"
)

func FuzzProviderConfig(f *testing.F) {
	for _, seed := range []string{
		credstest.ProviderConfig("plugin", "registry.example"), "kind: Pod", "\t", "", `{"kind":"CredentialProviderConfig"}`,
		strings.Replace(credstest.ProviderConfig("../plugin", "registry.example"), "12h", "-1s", 1),
		strings.Replace(credstest.ProviderConfig("plugin", "[registry.example"), "12h", "12", 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		names, err := kubeletcreds.ParseProviders(raw)
		if (err == nil) != (len(names) > 0) {
			t.Errorf("%d providers, and %v", len(names), err)
		}
		for _, name := range names {
			if filepath.Base(name) != name || name == "." || name == ".." || strings.Contains(name, "/") {
				t.Errorf("the program %q could be anywhere", name)
			}
		}
	})
}

func FuzzProviderAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"kind":"CredentialProviderResponse","apiVersion":"` + credstest.Version + `","cacheKeyType":"Image",
			"cacheDuration":"1s","auth":{"registry.example":{"username":"user","password":"pass"},
			"https://*.example/v2/":{"password":"x"}}}`,
		`{"kind":"CredentialProviderResponse"}`, `null`, `[]`, ``,
	} {
		f.Add([]byte(seed), "registry.example/team/app")
	}
	f.Fuzz(func(t *testing.T, raw []byte, image string) {
		username, password, err := kubeletcreds.ParseProviderAnswer(raw, credstest.Version, image)
		if password == "" && username != "" || err != nil && password != "" {
			t.Errorf("%q:%q, and %v", username, password, err)
		}
	})
}
