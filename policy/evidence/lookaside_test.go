package evidence_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/fetch"
)

// openPGP returns a file with the first byte of an OpenPGP message.
func openPGP(i int) []byte { return fmt.Appendf([]byte{0xC2}, "signature %d", i) }

// registriesD writes a registries.d with one file.
func registriesD(t testing.TB, content string) string {
	t.Helper()
	directory := t.TempDir()
	write(t, filepath.Join(directory, "default.yaml"), content)
	return directory
}

// lookedBeside is the configuration with a lookaside for all repositories.
func lookedBeside(t testing.TB, base string) evidence.Config {
	t.Helper()
	return evidence.Config{Fetcher: fetch.New(fetch.Config{Lookaside: lookasideAt(t, base)})}
}

// lookasideAt writes a registries.d with a lookaside for all repositories.
func lookasideAt(t testing.TB, base string) string {
	t.Helper()
	return registriesD(t, "default-docker: {lookaside: '"+base+"'}")
}

// leave writes signatures into a lookaside for the repository app.
func leave(t testing.TB, root string, manifest digest.Digest, files ...[]byte) {
	t.Helper()
	directory := filepath.Join(root, "app@"+strings.ReplaceAll(manifest.String(), ":", "="))
	if err := os.RemoveAll(directory); err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		write(t, filepath.Join(directory, fmt.Sprintf("signature-%d", i+1)), string(file))
	}
}

func TestSignaturesInALookasideAreFound(t *testing.T) {
	root := t.TempDir()
	server := httptest.NewServer(http.FileServer(http.Dir(root)))
	t.Cleanup(server.Close)
	for name, base := range map[string]string{"files": "file://" + root, "http": server.URL} {
		t.Run(name, func(t *testing.T) {
			r, m := newRegistry(t), manifestOf("image")
			keeper, named := open(t, lookedBeside(t, base)), r.named(t, "app")
			leave(t, root, m)
			if got := fetched(t, keeper, named, m); got.State != policy.None {
				t.Errorf("nothing anywhere: %+v", got)
			}
			leave(t, root, m, openPGP(1), signed(2).file(t))
			first := fetched(t, keeper, named, m)
			want := []string{string(openPGP(1)), string(signed(2).file(t))}
			if diff := cmp.Diff(want, filesIn(t, first.Directory)); diff != "" {
				t.Errorf("from the lookaside (-want +got):\n%s", diff)
			}
			if again := fetched(t, keeper, named, m); again != first {
				t.Errorf("first %+v\nagain %+v", first, again)
			}
			r.sign(t, "app", m, signed(3))
			if got := fetched(t, keeper, named, m); got.Signatures != 3 {
				t.Errorf("in addition to the registry's: %+v", got)
			}
			leave(t, root, m, openPGP(4))
			got := fetched(t, keeper, named, m)
			want = []string{string(openPGP(4)), string(signed(3).file(t))}
			if diff := cmp.Diff(want, filesIn(t, got.Directory)); diff != "" {
				t.Errorf("replaced (-want +got):\n%s", diff)
			}
			leave(t, root, m)
			if got := fetched(t, keeper, named, m); got.Signatures != 2 {
				t.Errorf("removed: %+v", got)
			}
		})
	}
}

// TestEvidenceNamesItsLookaside: signers need to know it, and it survives a restart.
func TestEvidenceNamesItsLookaside(t *testing.T) {
	root := t.TempDir()
	m := manifestOf("image")
	path := "/app@" + strings.ReplaceAll(m.String(), ":", "=")
	for name, test := range map[string]struct{ registriesD, want string }{
		"none is configured": {"", "no lookaside is configured ([registry] lookaside)"},
		"one for all registries": {
			"default-docker: {lookaside: 'file://" + root + "'}", "the lookaside that was asked is file://" + root + path,
		},
		"the default, because no entry is for the repository": {
			"docker: {other.example: {lookaside: 'file://" + root + "'}}",
			"the lookaside that was asked is file:///var/lib/containers/sigstore" + path + ", the default: DIRECTORY names " +
				"none for the repository",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var config fetch.Config
			if test.registriesD != "" {
				config.Lookaside = registriesD(t, test.registriesD)
			}
			r, directory := newRegistry(t), t.TempDir()
			want := strings.ReplaceAll(test.want, "DIRECTORY", config.Lookaside)
			keeper := open(t, evidence.Config{Directory: directory, Fetcher: fetch.New(config)})
			if got := fetched(t, keeper, r.named(t, "app"), m); got.State != policy.None || got.Lookaside != want {
				t.Errorf("%+v\nlacks %q", got, want)
			}
			keeper.Close()
			list := []policy.Manifest{{Digest: m}}
			if got := evidence.Read(directory)(list, r.named(t, "app"))[0]; got.Lookaside != want {
				t.Errorf("after a restart: %q", got.Lookaside)
			}
		})
	}
}

func TestWhatContainersImageCouldNotReadIsLeftOutOfALookaside(t *testing.T) {
	root, r, m := t.TempDir(), newRegistry(t), manifestOf("image")
	leave(t, root, m, []byte("text"), openPGP(1), []byte("\x00unknown\nx"), nil)
	got := fetched(t, open(t, lookedBeside(t, "file://"+root)), r.named(t, "app"), m)
	if got.State != policy.Found || got.Signatures != 1 ||
		!strings.Contains(got.Detail, "3 signatures in the lookaside were left out: signature-1") {
		t.Errorf("%+v", got)
	}
	leave(t, root, m, []byte("text"))
	got = fetched(t, open(t, lookedBeside(t, "file://"+root)), r.named(t, "app"), m)
	check(t, got, "none of its 1 signatures can be read")
}

func TestOfManySignaturesInALookasideTheNewestCount(t *testing.T) {
	root, r, m := t.TempDir(), newRegistry(t), manifestOf("image")
	var files [][]byte
	for i := range 100 {
		files = append(files, openPGP(i))
	}
	leave(t, root, m, files...)
	got := fetched(t, open(t, lookedBeside(t, "file://"+root)), r.named(t, "app"), m)
	if got.Signatures != 64 || !strings.Contains(got.Detail, "36 signatures in the lookaside were left out") {
		t.Fatalf("%+v", got)
	}
	if stored := filesIn(t, got.Directory); stored[63] != string(openPGP(99)) || stored[0] != string(openPGP(36)) {
		t.Error("the stored ones are not the newest")
	}
	// Neither of the two displaces the other's.
	var tagged []signature
	for i := range 64 {
		tagged = append(tagged, signed(i))
	}
	r.sign(t, "app", m, tagged...)
	got = fetched(t, open(t, lookedBeside(t, "file://"+root)), r.named(t, "app"), m)
	stored := filesIn(t, got.Directory)
	if len(stored) != 64 || stored[31] != string(openPGP(99)) || stored[63] != string(signed(63).file(t)) {
		t.Errorf("with as many in the registry: %+v", got)
	}
}
