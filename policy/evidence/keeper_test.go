package evidence_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.podman.io/image/v5/directory" //nolint:depguard // The tests prove that it reads what we write.
	"go.podman.io/image/v5/image"     //nolint:depguard // The same.

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
)

func TestAFirstQuestionIsPendingAndTheNextIsAnswered(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1), signed(2))
	keeper := open(t, evidence.Config{})
	named := r.named(t, "app")

	first := lookup(keeper, named, m)
	if first.State != policy.Unknown || first.Manifest != m {
		t.Fatalf("first answer: %+v", first)
	}
	got := fetched(t, keeper, named, m)
	if got.State != policy.Found || got.Signatures != 2 || got.Manifest != m || got.Detail != "" {
		t.Fatalf("answer after the fetch: %+v", got)
	}
	if got.Generation == first.Generation {
		t.Error("evidence was found and the generation is the same")
	}
	want := []string{string(signed(1).file(t)), string(signed(2).file(t))}
	if diff := cmp.Diff(want, filesIn(t, got.Directory)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestWhatLooksForNothingSaysSo(t *testing.T) {
	r := newRegistry(t)
	keeper := open(t, evidence.Config{})
	if got := fetched(t, keeper, r.named(t, "app"), manifestOf("unsigned")); got.State != policy.None {
		t.Errorf("an unsigned image: %+v", got)
	}
}

func TestSignaturesBelongToTheRepositoryTheyWereFoundIn(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "prod/app", m, signed(1))
	keeper := open(t, evidence.Config{})
	if got := fetched(t, keeper, r.named(t, "prod/app"), m); got.State != policy.Found {
		t.Errorf("where it is signed: %+v", got)
	}
	if got := fetched(t, keeper, r.named(t, "dev/app"), m); got.State != policy.None {
		t.Errorf("where it is not signed: %+v", got)
	}
}

func TestEvidenceOutlivesTheProcessAndTheRegistry(t *testing.T) {
	r := newRegistry(t)
	m, unsigned := manifestOf("image"), manifestOf("unsigned")
	r.sign(t, "app", m, signed(1))
	named, config := r.named(t, "app"), evidence.Config{Directory: t.TempDir()}
	before := open(t, config)
	want := fetched(t, before, named, m)
	fetched(t, before, named, unsigned)
	before.Close()
	r.server.Close()

	after := open(t, config)
	got := lookup(after, named, m)
	if got.State != policy.Found || got.Directory != want.Directory {
		t.Errorf("found before, and now %+v", got)
	}
	if got := lookup(after, named, unsigned); got.State != policy.None {
		t.Errorf("none before, and now %+v", got)
	}
	read := evidence.Read(config.Directory)(manifests(m, unsigned, manifestOf("unheard of")), named)
	states := []policy.State{read[0].State, read[1].State, read[2].State}
	if diff := cmp.Diff([]policy.State{policy.Found, policy.None, policy.Unknown}, states); diff != "" {
		t.Errorf("read by another process (-want +got):\n%s", diff)
	}
}

func TestAFailureIsForgottenAtARestart(t *testing.T) {
	r := newRegistry(t)
	r.spoilBy(always(http.StatusInternalServerError))
	named, m, config := r.named(t, "app"), manifestOf("image"), evidence.Config{Directory: t.TempDir()}
	before := open(t, config)
	if got := fetched(t, before, named, m); got.State != policy.Failed {
		t.Fatalf("a registry with a fault: %+v", got)
	}
	before.Close()
	if got := lookup(open(t, config), named, m); got.State != policy.Unknown {
		t.Errorf("after a restart: %+v", got)
	}
}

func TestContainersImageReadsWhatIsKept(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1), signed(2))
	got := fetched(t, open(t, evidence.Config{}), r.named(t, "app"), m)
	ref, err := directory.NewReference(got.Directory)
	if err != nil {
		t.Fatal(err)
	}
	source, err := ref.NewImageSource(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	signatures, err := image.UnparsedInstance(source, nil).UntrustedSignatures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(signatures) != 2 {
		t.Fatalf("it reads %d signatures", len(signatures))
	}
	for i, s := range signatures {
		read, ok := any(s).(interface {
			UntrustedMIMEType() string
			UntrustedPayload() []byte
			UntrustedAnnotations() map[string]string
		})
		if !ok {
			t.Fatalf("signature %d is a %T", i, s)
		}
		want := signed(i + 1)
		if read.UntrustedMIMEType() != want.mediaType || string(read.UntrustedPayload()) != want.payload {
			t.Errorf("signature %d: %s %s", i, read.UntrustedMIMEType(), read.UntrustedPayload())
		}
		if diff := cmp.Diff(want.annotations(), read.UntrustedAnnotations()); diff != "" {
			t.Errorf("annotations of %d (-want +got):\n%s", i, diff)
		}
	}
}

// The fixtures of containers/image were written by skopeo.
func TestSignaturesAreWrittenAsContainersImageWritesThem(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "go.podman.io/image/v5").Output()
	if err != nil {
		t.Fatal(err)
	}
	pattern := filepath.Join(strings.TrimSpace(string(out)), "signature/fixtures/dir-img-cosign-*/signature-*")
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 5 {
		t.Fatalf("there are only the fixtures %v", files)
	}
	for _, file := range files {
		if strings.Contains(file, "other-attachment") {
			// Made by hand from another: an editor has ended it with a newline.
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			MimeType    string
			Payload     []byte
			Annotations map[string]string
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(string(want), "\x00sigstore-json\n")), &s); err != nil {
			t.Fatal(err)
		}
		got, err := format.SignatureFile(s.MimeType, s.Payload, s.Annotations)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", filepath.Base(filepath.Dir(file)), diff)
		}
	}
}

func TestNothingIsReadableByOthers(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1))
	root := filepath.Join(t.TempDir(), "evidence")
	fetched(t, open(t, evidence.Config{Directory: root}), r.named(t, "app"), m)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestManifestsBeyondTheFirst64AreNotLookedAt(t *testing.T) {
	var list []policy.Manifest
	for i := range 70 {
		list = append(list, policy.Manifest{Digest: manifestOf(string(rune('a' + i)))})
	}
	list[3].Digest = "sha256:../../etc"
	r := newRegistry(t)
	got := open(t, evidence.Config{}).Lookup(list, r.named(t, "app"))
	if len(got) != 70 {
		t.Fatalf("%d answers", len(got))
	}
	for i, e := range got {
		want := policy.Unknown
		if i >= 64 || i == 3 {
			want = policy.Failed
		}
		if e.State != want || e.Manifest != list[i].Digest {
			t.Errorf("%d: %+v", i, e)
		}
	}
}

func TestAConfigurationThatMakesNoSenseIsRefused(t *testing.T) {
	for name, config := range map[string]evidence.Config{
		"no directory":   {MaxSize: 1},
		"no size":        {Directory: "/x"},
		"a size below 0": {Directory: "/x", MaxSize: -1},
	} {
		t.Run(name, func(t *testing.T) {
			if keeper, err := evidence.Open(config); err == nil {
				keeper.Close()
				t.Error("it was opened")
			}
		})
	}
}
