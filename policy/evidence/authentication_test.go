package evidence_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// basic makes a registry require a name and a password.
func basic(sound http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "pass" {
			challenge(`Basic realm="registry"`)(w, r)
			return
		}
		sound.ServeHTTP(w, r)
	})
}

// bearer makes a registry require a token, which its token server issues for a name and a password, or for anybody.
func bearer(t *testing.T, anybody bool) func(http.Handler) http.Handler {
	t.Helper()
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.Method == http.MethodPost {
			user, password = r.FormValue("username"), r.FormValue("password")
		}
		if refresh := r.FormValue("refresh_token"); refresh == "identity" {
			user, password = "user", "pass"
		}
		if !anybody && (user != "user" || password != "pass") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"token":"let me in","access_token":"let me in"}`))
	}))
	t.Cleanup(tokens.Close)
	return func(sound http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer let me in" {
				challenge(fmt.Sprintf(`Bearer realm=%q,service="registry"`, tokens.URL))(w, r)
				return
			}
			sound.ServeHTTP(w, r)
		})
	}
}

func auth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// checkSecret fails if a text contains the credentials.
func checkSecret(t *testing.T, detail string) {
	t.Helper()
	for _, secret := range []string{"pass", auth("user", "pass"), "identity"} {
		if strings.Contains(detail, secret) {
			t.Errorf("%q contains %q", detail, secret)
		}
	}
}

// forPrograms is a directory from which programs can be run, as they often cannot be from one in memory.
var forPrograms = os.TempDir()

// helpers writes credential helpers and returns their directory.
func helpers(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp(forPrograms, "evidence") //nolint:usetesting // Not one in memory.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	for name, script := range map[string]string{
		"evidencetest": `read host; echo '{"ServerURL":"'$host'","Username":"user","Secret":"pass"}'`,
		"evidencefail": `echo 'the secret is pass'; exit 1`,
		"evidencenone": `echo 'credentials not found in native keychain'; exit 1`,
		// A child of the helper that reads a pipe without a writer.
		"evidencehang": `cd '` + directory + `'; mkfifo fifo; cat fifo & echo $! > child; wait`,
	} {
		path := filepath.Join(directory, "docker-credential-"+name)
		write(t, path, "#!/bin/sh\n"+script+"\n")
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}
