package evidence_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/registry"
)

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
		"two files say something of attached signatures": {
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
		"a file does not parse, and is about nobody knows what": {
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
				_, err := evidence.LookasideBase(directory, reference.TrimNamed(parse(t, repository)))
				return err
			}
			if err := at("good.example/app"); err != nil {
				t.Errorf("it concerns another registry: %v", err)
			}
			if test.concerned != "" && at(test.concerned) == nil {
				t.Errorf("it does not concern %s", test.concerned)
			}
			problems := evidence.NewFetcher(evidence.FetcherConfig{Lookaside: directory}).Problems()
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

func TestAHostsTomlThatDoesNotParseIsNamed(t *testing.T) {
	const broken = "server = \"https://registry.example\"\n[host.\"https://mirror.example\"\n"
	directory := hostsFor(t, "registry.example", broken)
	path := filepath.Join(directory, "registry.example", "hosts.toml")
	registries := registry.New(registry.Config{HostsDirectory: directory})
	problems := registries.Problems()
	if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), path+":2:") {
		t.Errorf("the problems are %v", problems)
	}
	keeper := open(t, evidence.Config{
		Fetcher: evidence.NewFetcher(evidence.FetcherConfig{Registries: registries}),
	})
	got := fetched(t, keeper, parse(t, "registry.example/app"), manifestOf("image"))
	for _, want := range []string{" from https://registry.example/v2: ", "(" + path + ":2:", "and containerd ignores it"} {
		check(t, got, want)
	}
}

// TestEachHostThatWasAskedIsNamed: a mirror that has none and an upstream that cannot be reached.
func TestEachHostThatWasAskedIsNamed(t *testing.T) {
	mirror := newRegistry(t)
	hosts := hostsFor(t, "upstream.example", fmt.Sprintf(
		"server = \"http://127.0.0.1:9\"\n[host.\"http://%s\"]\n", mirror.host))
	got := fetched(t, open(t, reaching(registry.Config{HostsDirectory: hosts})),
		parse(t, "upstream.example/app"), manifestOf("image"))
	check(t, got, "from http://127.0.0.1:9/v2: ")
	check(t, got, fmt.Sprintf("(asked in this order: http://%s/v2 has none, http://127.0.0.1:9/v2 fails)", mirror.host))
}
