package evidence_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/registry"
)

func TestTheCredentialsOfARequestServeThatRequestOnly(t *testing.T) {
	node := registry.CredentialFunc(nil)
	good := func(string) (string, string, error) { return "alice", "right", nil }
	bad := func(string) (string, string, error) { return "mallory", "wrong", nil }
	var mu sync.Mutex
	var asked []string
	var log bytes.Buffer
	config := evidence.Config{Directory: t.TempDir(), MaxSize: 1 << 30, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	keeper, err := evidence.OpenAs(config, func(username string) (evidence.Found, error) {
		mu.Lock()
		asked = append(asked, username)
		mu.Unlock()
		if username != "alice" {
			return evidence.Found{}, errors.New("401 Unauthorized")
		}
		return evidence.Found{Files: [][]byte{signed(1).file(t)}, Tag: digest.FromString("tag")}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keeper.Close)
	ref, m := parse(t, "registry.example/app"), manifestOf("image")
	// A failure with the credentials of a request delays no other request, and is not a failure of the registry.
	for range 100 {
		if err := keeper.FetchWith(t.Context(), m, ref, bad); err == nil {
			t.Fatal("wrong credentials were enough")
		}
	}
	if strings.Contains(log.String(), "requests for signatures fail") {
		t.Errorf("the registry is said to fail: %s", &log)
	}
	if got := keeper.Lookup([]policy.Manifest{{Digest: m}}, ref)[0]; got.State == policy.Failed {
		t.Errorf("others get: %+v", got)
	}
	if err := keeper.FetchWith(t.Context(), m, ref, good); err != nil {
		t.Fatal(err)
	}
	if got := keeper.Lookup([]policy.Manifest{{Digest: m}}, ref)[0]; got.State != policy.Found || got.Signatures != 1 {
		t.Errorf("what was found is not stored: %+v", got)
	}
	mu.Lock()
	asked = nil
	mu.Unlock()
	// The fetch may be one that a lookup above has started, without credentials either.
	if err := keeper.FetchWith(t.Context(), m, ref, node); err == nil {
		t.Error("the credentials of another request were used")
	}
	mu.Lock()
	defer mu.Unlock()
	if slices.Contains(asked, "alice") {
		t.Errorf("without credentials: fetched as %q", asked)
	}
	if got := keeper.Lookup([]policy.Manifest{{Digest: m}}, ref)[0]; got.State != policy.Found {
		t.Errorf("a denied fetch removed stored evidence: %+v", got)
	}
}

// TestWhatSomeCredentialsFindIsNotLostToOthers: the entry for a path can read signatures, but not the list of
// referrers. The entry for the host, which is tried next, can read neither.
func TestWhatSomeCredentialsFindIsNotLostToOthers(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "team/app", m, signed(1))
	r.spoilBy(func(sound http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			switch username, _, ok := request.BasicAuth(); {
			case !ok:
				challenge(`Basic realm="x"`)(w, request)
			case username == "reader" && !strings.Contains(request.URL.Path, "/referrers/"):
				sound.ServeHTTP(w, request)
			default:
				w.WriteHeader(http.StatusForbidden)
			}
		})
	})
	file := filepath.Join(t.TempDir(), "config.json")
	write(t, file, `{"auths":{"`+r.host+`/team":{"auth":"`+auth("reader", "1")+`"},`+
		`"`+r.host+`":{"auth":"`+auth("other", "1")+`"}}}`)
	got := fetched(t, open(t, reaching(registry.Config{AuthFile: file})), r.named(t, "team/app"), m)
	if got.State != policy.Found || got.Signatures != 1 || !got.Partial || !strings.Contains(got.Detail, "403 Forbidden") {
		t.Errorf("%+v", got)
	}
}
