package write_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/agent/write"
)

// rounds are what the process writes that is killed: documents by namespace, "" for the cluster's. What a round does
// not mention shall not exist.
func rounds() []map[string]string {
	all := []map[string]string{
		{"a": "a1", "b": "b1", "c": "c1"},
		{"": "cluster1", "a": "a2", "b": "b1", "d": "d1", "theirs": "ours"},
		{"": "cluster2", "b": "b2", "d": "d1", "e": "e1"},
		{"": "cluster2", "a": "a3", "c": "c2", "f": "f1"},
		{"a": "a3", "b": "b3", "c": "c3"},
		{},
		{"": "cluster3", "a": "a1", "g": "g1"},
		{"": "cluster4"},
	}
	return all
}

// names are all namespaces of the rounds, and one that never has a document.
func names() []string { return []string{"a", "b", "c", "d", "e", "f", "g", "none"} }

// theirs is the document of an administrator.
const theirs = "theirs.json"

func target(directory string) write.Target {
	return write.Target{
		Directory: filepath.Join(directory, "policies"), Cluster: filepath.Join(directory, "cluster.json"),
		State: filepath.Join(directory, "state"),
	}
}

// change returns what makes a round of the documents of all namespaces.
func change(round map[string]string) write.Change {
	c := write.Change{Namespaces: map[string]write.Document{}, Cluster: new(write.Document)}
	if text, ok := round[""]; ok {
		c.Cluster.JSON = []byte(text)
	}
	for _, name := range append(names(), "theirs") {
		document := write.Document{}
		if text, ok := round[name]; ok {
			document = write.Document{JSON: []byte(text), Origin: []string{text}}
		}
		c.Namespaces[name] = document
	}
	return c
}

// governing returns the document of each namespace.
func governing(round map[string]string) map[string]string {
	found := map[string]string{}
	for _, name := range names() {
		if text, ok := round[name]; ok {
			found[name] = text
		} else {
			found[name] = round[""]
		}
	}
	return found
}

// onDisk returns the documents in a directory.
func onDisk(t *testing.T, of write.Target) map[string]string {
	t.Helper()
	found := map[string]string{}
	paths, _ := filepath.Glob(filepath.Join(of.Directory, "[^.]*.json"))
	for _, path := range append(paths, of.Cluster) {
		raw, err := os.ReadFile(path)
		if path == of.Cluster {
			if err == nil {
				found[""] = string(raw)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(path) != theirs {
			found[strings.TrimSuffix(filepath.Base(path), ".json")] = string(raw)
		} else if string(raw) != "theirs" {
			t.Errorf("the administrator's document is %s", raw)
		}
	}
	return found
}

const killAt, killIn = "COUNTERSIGN_KILL_AT", "COUNTERSIGN_KILL_IN"

// TestAProcessThatIsKilled is the process that another test starts and kills. It prints the number of each round.
func TestAProcessThatIsKilled(t *testing.T) {
	at, err := strconv.Atoi(os.Getenv(killAt))
	if err != nil {
		t.Skip("another test runs it")
	}
	var writes atomic.Int64
	w, err := write.OpenWatched(target(os.Getenv(killIn)), func(string) {
		if writes.Add(1) == int64(at) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, round := range rounds() {
		fmt.Fprintf(os.Stderr, "round %d\n", i)
		if _, err := w.Apply(change(round)); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintf(os.Stderr, "complete after %d writes\n", writes.Load())
}

// TestAnAgentIsKilledAtEveryWrite: at no time is a namespace governed by anything but what governed it before and what
// shall govern it, and the next process continues and removes all that this one wrote.
func TestAnAgentIsKilledAtEveryWrite(t *testing.T) {
	var kills int
	output := runKilled(t, t.TempDir(), 0)
	if _, err := fmt.Sscanf(output[strings.Index(output, "complete"):], "complete after %d writes", &kills); err != nil {
		t.Fatal(err)
	}
	if kills < 200 {
		t.Errorf("the process is killed %d times, want at least 200", kills)
	}
	for at := 1; at <= kills; at++ {
		t.Run(fmt.Sprintf("write %d", at), func(t *testing.T) {
			t.Parallel()
			directory := t.TempDir()
			output := runKilled(t, directory, at)
			if strings.Contains(output, "complete") {
				t.Fatalf("the process was not killed:\n%s", output)
			}
			checkAfterKill(t, at, directory, strings.Count(output, "round ")-1)
		})
	}
}

func runKilled(t *testing.T, directory string, at int) string {
	t.Helper()
	to := target(directory)
	if err := os.MkdirAll(to.Directory, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to.Directory, theirs), []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAProcessThatIsKilled$")
	command.Env = append(os.Environ(), fmt.Sprintf("%s=%d", killAt, at), killIn+"="+directory)
	output, err := command.CombinedOutput()
	killed := err != nil && strings.Contains(err.Error(), "killed")
	if !killed && !strings.Contains(string(output), "complete") {
		t.Fatalf("killed at write %d: %v\n%s", at, err, output)
	}
	return string(output)
}

func checkAfterKill(t *testing.T, at int, directory string, round int) {
	t.Helper()
	before := map[string]string{}
	if round > 0 {
		before = rounds()[round-1]
	}
	old, asked, found := governing(before), governing(rounds()[round]), governing(onDisk(t, target(directory)))
	for _, name := range names() {
		if found[name] != old[name] && found[name] != asked[name] {
			t.Errorf("killed at write %d: %s is governed by %q, want %q or %q",
				at, name, found[name], old[name], asked[name])
		}
	}
	w, err := write.Open(target(directory))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []map[string]string{rounds()[round], {}} {
		conflicts, err := w.Apply(change(want))
		if err != nil || len(conflicts) > 0 != (want["theirs"] != "") {
			t.Errorf("killed at write %d: the next process: %v, conflicts %v", at, err, conflicts)
		}
		want = maps.Clone(want)
		delete(want, "theirs")
		if diff := cmp.Diff(want, onDisk(t, target(directory))); diff != "" {
			t.Errorf("killed at write %d: after the next process (-want +got):\n%s", at, diff)
		}
	}
	if left := leftOver(t, directory); left != nil {
		t.Errorf("killed at write %d: these files are left over: %q", at, left)
	}
}

// leftOver returns the files that are neither a document nor the list.
func leftOver(t *testing.T, directory string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(directory, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Name() != theirs && entry.Name() != "files.json" {
			found = append(found, entry.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
