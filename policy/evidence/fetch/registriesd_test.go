package fetch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"go.podman.io/image/v5/docker" //nolint:depguard // The tests compare with what it does.
	"go.podman.io/image/v5/types"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/fetch"
)

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func parse(t testing.TB, s string) reference.Named {
	t.Helper()
	named, err := policy.Normalize(s)
	if err != nil {
		t.Fatal(err)
	}
	return named
}

func TestALookasideIsWhereContainersImageLooks(t *testing.T) {
	for name, files := range map[string][]string{
		"nothing":           {},
		"an empty file":     {""},
		"a default":         {"default-docker:\n  lookaside: https://default.example/a%20b/\n"},
		"an old key":        {"default-docker:\n  sigstore: file:///var/sigs\n"},
		"both keys":         {"default-docker: {sigstore: 'file:///old', lookaside: 'file:///new'}\n"},
		"keys for writing":  {"default-docker: {lookaside-staging: 'file:///staging'}\n"},
		"an unknown key":    {"default-docker: {lookaside: 'file:///x', other: 1}\nother: [1]\n"},
		"a repository":      {"docker:\n  registry.example/team/app: {lookaside: 'https://app.example'}\n"},
		"a part of a path":  {"docker:\n  registry.example/team: {lookaside: 'https://team.example'}\n"},
		"a host":            {"docker:\n  registry.example: {lookaside: 'https://host.example'}\n"},
		"a host and a port": {"docker:\n  registry.example:5000: {lookaside: 'https://port.example'}\n"},
		"a wildcard":        {"docker:\n  '*.example': {lookaside: 'https://wild.example'}\n"},
		"docker.io":         {"docker:\n  docker.io/library: {lookaside: 'https://library.example'}\n"},
		"the most specific of several": {
			"docker:\n  registry.example: {lookaside: 'https://host.example'}\n" +
				"  registry.example/team: {use-sigstore-attachments: true}\n  registry.example/team/app: {lookaside: ''}\n",
			"default-docker: {lookaside: 'https://default.example'}\n",
		},
		"two defaults": {"default-docker: {lookaside: 'file:///a'}\n", "default-docker: {sigstore: 'file:///b'}\n"},
		"no YAML":      {"\t"},
		"another form": {"docker: [1]\n"},
		"no URL":       {"default-docker: {lookaside: '://'}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			for i, file := range files {
				write(t, filepath.Join(directory, fmt.Sprintf("%d.yaml", i)), file)
			}
			write(t, filepath.Join(directory, "ignored.yml"), "\t")
			write(t, filepath.Join(directory, "directory.yaml", "x"), "")
			for _, image := range []string{
				"registry.example/team/app:v1", "registry.example/other/app:v1", "registry.example:5000/team/app:v1",
				"sub.registry.example/app:v1", "busybox:latest", "localhost/app:v1",
			} {
				compareLookaside(t, directory, image)
			}
		})
	}
}

// compareLookaside compares what we and containers/image make of a directory.
func compareLookaside(t *testing.T, directory, image string) {
	t.Helper()
	theirRef, err := docker.ParseReference("//" + image)
	if err != nil {
		t.Fatal(err)
	}
	system := &types.SystemContext{RegistriesDirPath: directory}
	theirs, theirErr := docker.SignatureStorageBaseURL(system, theirRef, false)
	ours, ourErr := fetch.LookasideBase(directory, reference.TrimNamed(parse(t, image)))
	if (theirErr == nil) != (ourErr == nil) {
		t.Fatalf("%s: theirs %v, ours %v", image, theirErr, ourErr)
	}
	if theirErr == nil && theirs.String() != ours.String() {
		t.Errorf("%s: theirs %s, ours %s", image, theirs, ours)
	}
}

// TestAFaultInRegistriesDConcernsItsOwnScope: containers/image fails for every registry because of one entry.
func TestAFaultInRegistriesDConcernsItsOwnScope(t *testing.T) {
	const good = "docker:\n  good.example: {lookaside: 'https://good.example/sigs'}\n"
	for name, test := range map[string]struct {
		files []string
		// concerned is a repository whose signatures cannot be looked for; empty: none.
		concerned string
		// problems are words of each problem.
		problems []string
	}{
		"two files configure attached signatures": {
			files: []string{
				"docker:\n  bad.example: {use-sigstore-attachments: true}\n",
				"docker:\n  bad.example: {use-sigstore-attachments: false}\n",
			},
		},
		"one of two names a lookaside": {
			files: []string{
				"docker:\n  bad.example: {use-sigstore-attachments: true}\n",
				"docker:\n  bad.example: {lookaside: 'https://bad.example'}\n",
			},
		},
		"two name a lookaside": {
			[]string{
				"docker:\n  bad.example: {lookaside: 'https://one.example'}\n",
				"docker:\n  bad.example: {sigstore: 'https://two.example'}\n",
			},
			"bad.example/app",
			[]string{"0.yaml and DIR/1.yaml both say where the signatures of bad.example lie"},
		},
		"an entry has another form": {
			[]string{"docker:\n  bad.example: [lookaside]\n"},
			"bad.example/app",
			[]string{"0.yaml: bad.example is not as registries.d wants it"},
		},
		"a file does not parse": {
			[]string{"docker:\n  bad.example:\n    lookaside: 'https://bad.example\n"},
			"bad.example/app",
			[]string{"0.yaml: yaml: "},
		},
		"a file does not parse, and is about a path": {
			[]string{"docker:\n  \"bad.example/team\":\n    lookaside: [\n"},
			"bad.example/team/app",
			[]string{"0.yaml: yaml: "},
		},
		"the default does not parse": {
			[]string{"default-docker:\n  lookaside: [\n"}, "other.example/app", []string{"0.yaml: yaml: "},
		},
		"a file does not parse, and its scopes are unknown": {
			[]string{"\t"}, "other.example/app", []string{"0.yaml: yaml: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			for i, file := range test.files {
				write(t, filepath.Join(directory, fmt.Sprintf("%d.yaml", i)), file)
			}
			write(t, filepath.Join(directory, "good.yaml"), good)
			at := func(repository string) error {
				_, err := fetch.LookasideBase(directory, reference.TrimNamed(parse(t, repository)))
				return err
			}
			if err := at("good.example/app"); err != nil {
				t.Errorf("it concerns another registry: %v", err)
			}
			if test.concerned != "" && at(test.concerned) == nil {
				t.Errorf("it does not concern %s", test.concerned)
			}
			problems := fetch.New(fetch.Config{Lookaside: directory}).Problems()
			if len(problems) != len(test.problems) {
				t.Fatalf("the problems are %v", problems)
			}
			for i, want := range test.problems {
				want = strings.ReplaceAll(want, "DIR", directory)
				if !strings.Contains(problems[i].Error(), want) || strings.Contains(problems[i].Error(), "\n") {
					t.Errorf("the problem is %q, not %q", problems[i], want)
				}
			}
		})
	}
}
