package countersign_test

import (
	"regexp"
	"strings"
	"testing"
)

// consequence is a sentence that says what happens, and the test that makes it happen, by its file and a word in it: a
// function or the name of a subtest.
type consequence struct{ in, sentence, file, proof string }

const (
	daemonStatus = "plugin/daemon/status.go"
	operations   = "docs/operations.md"
	verifiers    = "plugin/internal/containerd/verifier.go"
	programs     = "plugin/internal/containerd/programs.go"
	merged       = "plugin/internal/containerd/required.go"
	programReply = "plugin/verifier/verifier.go"

	required    = "integration/lifecycle/required_test.go"
	runtimes    = "integration/lifecycle/runtimes_test.go"
	daemons     = "integration/lifecycle/daemons_test.go"
	fullDisk    = "integration/lifecycle/disk_test.go"
	pulls       = "integration/pull/consequences_test.go"
	sandbox     = "integration/pull/sandbox_test.go"
	documents   = "integration/lifecycle/policies_test.go"
	emergency   = "integration/pull/emergency_test.go"
	deadlocks   = "integration/deadlock/deadlock_test.go"
	exitStatus  = "plugin/countersign/testdata/script/run_refuses_bad_configuration.txtar"
	silentPulls = "integration/pull/silent_test.go"
)

// consequences are the sentences in logs, health checks, commands and pages that say what containerd, the kubelet or
// the daemon does. Each is proved on a real node, unless its file says otherwise.
func consequences() []consequence {
	return []consequence{
		{daemonStatus, "containers start unchecked while the", required, "it is not in the list"},
		{daemonStatus, "containerd refuses every pull", pulls, "a file has the place of the directory"},
		{merged, "disable NRI: containers start unchecked", required, "disabledNRI"},
		{merged, "the author of a pod can opt out of required plugins", required, "pods can opt out"},
		{programs, "without it containerd admits every pull", pulls, "the directory is empty"},
		{programs, "is not among the first %d", pulls, "another verifier has its place"},
		{programs, "cannot be executed", "integration/pull/broken_test.go", "mode 0644"},
		{verifiers, "containerd refuses every pull", pulls, "refusedPulls"},
		{
			verifiers, "containerd ends image verifiers after %s, and then refuses the pull",
			pulls, "containerd ends the verifier before it answers",
		},
		{
			verifiers, "without the transfer service, and so without image verifiers",
			pulls, "the CRI plugin pulls",
		},
		{verifiers, "disables its plugin", pulls, "the verifiers are disabled"},
		{
			"plugin/daemon/sandbox_image.go", "if it has to be pulled, no pod starts",
			sandbox, "a pod that needs the sandbox",
		},
		{
			"plugin/daemon/sandbox_image.go", "no pod would start",
			"integration/pull/pull_test.go", "audited",
		},
		{
			"plugin/daemon/reload.go", "the current one stays in force",
			"plugin/daemon/reload_internal_test.go", "TestReloadOfAnInvalidFileChangesNothing",
		},
		{
			"plugin/countersign/check_result.go", "containerd creates no container if it requires countersign",
			required, "optsOut",
		},
		{"plugin/doctor/pull.go", "containerd refuses every pull", pulls, "refusedPulls"},
		{
			"plugin/doctor/pull.go", "it cannot be pulled, and no pod starts",
			sandbox, "a pod that needs the sandbox",
		},
		{programReply, "so the pull is refused", silentPulls, "and pulls are denied without it"},
		{programReply, "allowed: the countersign daemon", silentPulls, "and pulls are allowed without it"},
		{
			"policy/evidence/store/store.go", "lost at a restart",
			"policy/evidence/store/overflow_test.go", "WithoutADirectory",
		},
		{
			"policy/evidence/store/health.go", "stored in memory, imports are refused",
			fullDisk, "onFullDisk",
		},
		{
			"policy/evidence/failing.go", "evidence that was found before stays in use",
			"integration/lifecycle/registry_test.go", "registryDown",
		},
		{
			"conf/containerd.toml", "created while the daemon restarts runs unchecked",
			required, "startsUnchecked",
		},
		{
			"conf/containerd.toml", "missing or empty, containerd allows every pull",
			pulls, "there is no directory",
		},
		{
			"conf/policies/README.md", "it cannot be pulled and no pod starts",
			sandbox, "a pod that needs the sandbox",
		},
		{
			"docs/install.md", "Otherwise containers start unchecked while the plugin is disconnected",
			required, "startsUnchecked",
		},
		{
			"docs/install.md", "if it is refused, no pod starts",
			sandbox, "a pod that needs the sandbox image says",
		},
		{
			"README.md", "no container is created until it is back; otherwise containers start unchecked",
			daemons, "killedInBetween",
		},
		{"README.md", "its last good version stays in force", documents, "the last good one counts"},
		{"README.md", "every namespace is denied, because", documents, "brokenDirectory"},
		{"README.md", "the daemon reconnects and registers automatically", runtimes, "containerdKilled"},
		{"docs/install.md", "no container is created in the meantime", daemons, "killedInBetween"},
		{"docs/install.md", "running containers keep running", emergency, "TestEmergencySwitchOff"},
		{operations, "a start fails with exit status 78", exitStatus, "78"},
		{
			operations, "no container is created; otherwise containers start unchecked",
			required, "startsUnchecked",
		},
		{
			operations, "containerd creates, starts, stops and removes no container",
			deadlocks, "TestContainerdDeadlocks",
		},
		{operations, "Restarting countersign does not help", deadlocks, "does not help"},
		{operations, "containerd allows every pull", pulls, "there is no directory"},
		{
			operations, "containerd refuses every pull",
			silentPulls, "because the verifier cannot be executed",
		},
		{operations, "for every pull through its transfer service", pulls, "uncheckedPulls"},
		{operations, "no pod starts on the node", sandbox, "a pod that needs the sandbox image says"},
		{operations, "new evidence is stored in memory until there is space", fullDisk, "onFullDisk"},
		{operations, "Running containers keep running", emergency, "WantMarker"},
	}
}

// TestSentencesOfConsequenceAreProved: a sentence about what happens to containers or pulls is wrong sooner or later,
// unless a test makes it happen.
func TestSentencesOfConsequenceAreProved(t *testing.T) {
	sentences := map[string][]string{}
	for _, c := range consequences() {
		sentences[c.in] = append(sentences[c.in], c.sentence)
		if !strings.Contains(words(textOf(t, c.in)), c.sentence) {
			t.Errorf("%s does not say %q", c.in, c.sentence)
		}
		if !strings.Contains(textOf(t, c.file), c.proof) {
			t.Errorf("%s has no %q, which proves %q", c.file, c.proof, c.sentence)
		}
	}
	telling := regexp.MustCompile(`unchecked|(allows|admits|refuses) every pull|no pod (starts|would start)|` +
		`no container is created|creates no container|imports are refused|stays? in force|lost at a restart`)
	for _, path := range product(t) {
		for line := range strings.Lines(textOf(t, path)) {
			said := telling.FindString(line)
			code := strings.HasSuffix(path, ".go")
			if said == "" || code && (strings.HasPrefix(strings.TrimSpace(line), "//") || !strings.Contains(line, `"`)) {
				continue
			}
			known := false
			for _, sentence := range sentences[path] {
				known = known || strings.Contains(sentence, said)
			}
			if !known {
				t.Errorf("%s says %q: add a test that makes it happen, and the sentence to the table", path, said)
			}
		}
	}
}

// product returns the files whose sentences operators read.
func product(t *testing.T) (paths []string) {
	t.Helper()
	for _, folder := range []string{"plugin", "nri", "policy", "conf"} {
		for _, path := range filesBelow(t, folder, ".go") {
			if !strings.HasSuffix(path, "_test.go") {
				paths = append(paths, path)
			}
		}
	}
	paths = append(paths, filesBelow(t, "conf", ".toml")...)
	paths = append(paths, filesBelow(t, "conf", ".md")...)
	return append(paths, "README.md", "docs/install.md", operations)
}

// words returns a text in one line, with joined string literals and without the marks of comments.
func words(text string) string {
	text = regexp.MustCompile(`"\s*\+\s*"|\n\s*#`).ReplaceAllString(text, "")
	return strings.Join(strings.Fields(text), " ")
}
