package evidence_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/registry"
)

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
		Fetcher: fetch.New(fetch.Config{Registries: registries}),
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
