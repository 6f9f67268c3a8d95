package registry_test

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy/registry"
)

// guarded serves the manifest of a tag to clients with a password.
func guarded(t *testing.T, password string) (host string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, given, _ := r.BasicAuth(); given != password {
			w.Header().Set("WWW-Authenticate", "Basic realm=x")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
		w.Header().Set("Content-Length", "7")
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestCredentialsOfARequestAreUsedFirstAndForThatRequestOnly(t *testing.T) {
	for name, test := range map[string]struct {
		// request and node are passwords; empty: there are none.
		request, node, want string
		only                bool
	}{
		"only of the request":              {"right", "", "", false},
		"of the request before the node's": {"right", "wrong", "", false},
		"only of the node":                 {"", "right", "", false},
		"wrong ones before the node's":     {"wrong", "right", "HOST does not accept the credentials of the request", false},
		"none":                             {"", "", "add credentials for HOST to FILE", false},
		"of the node, for a request that may use only its own": {
			"", "right", "the request has no credentials for HOST", true,
		},
		"of the request, which may use only its own": {"right", "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			host := guarded(t, "right")
			file := filepath.Join(t.TempDir(), "config.json")
			if test.node != "" {
				auth := base64.StdEncoding.EncodeToString([]byte("user:" + test.node))
				content := `{"auths":{"` + host + `":{"auth":"` + auth + `"}}}`
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ref, err := reference.ParseNormalizedNamed(host + "/app:v1")
			if err != nil {
				t.Fatal(err)
			}
			client := registry.New(registry.Config{AuthFile: file})
			with := client.WithCredentials
			if test.only {
				with = client.WithOnly
			}
			_, err = with(func(of string) (username, secret string, err error) {
				if of != host || test.request == "" {
					return "", "", nil
				}
				return "user", test.request, nil
			}).Resolve(t.Context(), ref)
			want := strings.NewReplacer("HOST", host, "FILE", file).Replace(test.want)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%v, not %q", err, want)
			}
			if _, err := client.Resolve(t.Context(), ref); (err == nil) != (test.node == "right") {
				t.Errorf("without the request's credentials: %v", err)
			}
		})
	}
}
