package kubeletcreds_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy/registry/kubeletcreds"
	"github.com/countersign/countersign/policy/registry/kubeletcreds/credstest"
)

// TestRejectedCredentialsAreFollowedByTheNext: the kubelet tries all matching credentials, those of its file first
// (Kubernetes v1.36, pkg/credentialprovider: UnionDockerKeyring).
func TestRejectedCredentialsAreFollowedByTheNext(t *testing.T) {
	const right = `"r.example":{"username":"host","password":"1"}`
	for name, test := range map[string]struct {
		// file is a docker config.json, and keys are those for which a provider has credentials.
		file   string
		keys   []string
		want   string
		advice string
	}{
		"a path, then its host": {
			`{"auths":{"r.example/team":{"username":"team","password":"1"},` + right + `}}`, nil, "team host",
			`r.example does not accept the credentials of the entry "r.example/team" of FILE, nor those of the entry ` +
				`"r.example" of FILE`,
		},
		"the file, then a provider": {
			`{"auths":{` + right + `}}`,
			[]string{"*.example"},
			"host user0",
			`the entry "r.example" of FILE, nor those of the credential provider plugin`,
		},
		"all of a provider, the longer first": {
			`{}`,
			[]string{"r.example", "r.example/team"},
			"user1 user0",
			"does not accept the credentials of the credential provider plugin, nor those of the credential provider plugin",
		},
		"equal ones once": {
			`{"auths":{"r.example/team":{"username":"host","password":"1"},` + right + `}}`, nil, "host",
			`the credentials of the entry "r.example/team" of FILE`,
		},
		"those after one that cannot be used": {
			`{"auths":{"r.example/team":{"auth":"!"},` + right + `}}`, nil, "host",
			`of the entry "r.example" of FILE; the entry "r.example/team" cannot be used: its auth is not base64`,
		},
		"none after none": {`{}`, nil, "", "add credentials for r.example to FILE, which has none"},
	} {
		t.Run(name, func(t *testing.T) {
			var answer []string
			for i, key := range test.keys {
				answer = append(answer, `"`+key+`":{"username":"user`+string(rune('0'+i))+`","password":"secret"}`)
			}
			p := credstest.New(t, "r.example", `echo '{"kind":"CredentialProviderResponse","apiVersion":"`+credstest.Version+
				`","cacheKeyType":"Image","cacheDuration":"1h","auth":{`+strings.Join(answer, ",")+`}}'`)
			file := filepath.Join(t.TempDir(), "config.json")
			write(t, file, test.file)
			named, err := reference.ParseNormalizedNamed("r.example/team/app")
			if err != nil {
				t.Fatal(err)
			}
			keyring := kubeletcreds.NewStore(kubeletcreds.Config{
				AuthFile: file, ProviderConfig: p.Config, ProviderDirectory: p.Directory,
			}).Keyring(t.Context(), named)
			var got []string
			for others := true; others; others = keyring.Reject("r.example") {
				username, secret, err := keyring.Lookup("r.example")
				if err != nil {
					t.Fatal(err)
				}
				if secret != "" {
					got = append(got, username)
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("given: %s, not %s", got, test.want)
			}
			if username, secret, err := keyring.Lookup("r.example"); username+secret != "" || err != nil {
				t.Errorf("after all were rejected: %q, %v", username, err)
			}
			advice := keyring.Advise("r.example")
			if want := strings.ReplaceAll(test.advice, "FILE", file); !strings.Contains(advice, want) {
				t.Errorf("%q\nlacks %q", advice, want)
			}
		})
	}
}
