package files_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/countersign/countersign/policy/files"
)

// soon is the interval of checks without events.
const soon = 20 * time.Millisecond

func TestAConfigMapsSwap(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{
		"system.json":                   system,
		"policies/..2026_1/prod.json":   strict,
		"policies/..2026_1/dev.json":    lax,
		"policies/..2026_2/prod.json":   edited,
		"policies/..2026_2/other.json":  lax,
		"policies/..2026_3/prod.json":   `{"is": "third"}`,
		"policies/..2026_3/broken.json": "{",
	})
	n.symlink("..2026_1", "policies/..data")
	n.symlink("..data/prod.json", "policies/prod.json")
	n.symlink("..data/dev.json", "policies/dev.json")
	n.run()
	check := n.witness("strict", "edited", "third")

	n.replace("..2026_2", "policies/..data")
	n.symlink("..data/other.json", "policies/other.json")
	n.remove("policies/dev.json")
	n.remove("policies/..2026_1")
	n.until("prod", "edited")
	n.until("other", "lax")
	n.until("dev", "system")

	n.replace("..2026_3", "policies/..data")
	n.until("prod", "third")
	check()
}

func TestADirectoryBehindASymlink(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{
		"system.json": system, "v1/prod.json": strict, "v1/dev.json": lax, "v2/prod.json": edited,
	})
	n.symlink("v1", "current")
	n.config.Directory = n.path("current")
	n.run()
	n.is("prod", "strict")
	n.replace("v2", "current")
	n.until("prod", "edited")
	n.until("dev", "system")
	n.write("v2/prod.json", strict)
	n.until("prod", "strict")
}

func TestADirectoryThatIsMovedChangesNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict}).run()
	check := n.witness("strict")
	n.rename("policies", "moved")
	n.problem("reading policy directory " + n.path("policies") + ": no such file")
	if status := n.documents.Status(); status.Failures != 1 || !status.Problems[0].Kept {
		t.Errorf("the status is %+v, want one failure, and the documents still in force", status)
	}
	n.rename("moved", "policies")
	n.problem("")
	check()

	n.write("policies/prod.json", edited) // It is still being watched.
	n.until("prod", "edited")
}

func TestADirectoryThatIsReplaced(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{
		"system.json": system, "policies/prod.json": strict, "policies/dev.json": lax, "new/prod.json": edited,
	}).run()
	n.rename("policies", "old")
	n.rename("new", "policies")
	n.until("prod", "edited")
	n.until("dev", "system")
	n.write("policies/dev.json", strict)
	n.until("dev", "strict")
	n.write("old/dev.json", "{") // Nobody cares for that any more.
	n.write("policies/qa.json", lax)
	n.until("qa", "lax")
	n.is("dev", "strict")
}

func TestADirectoryWhoseParentIsReplaced(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{
		"system.json": system, "etc/countersign/policies/prod.json": strict, "new/countersign/policies/prod.json": edited,
	})
	n.config.Directory = n.path("etc/countersign/policies")
	n.run()
	n.rename("etc", "old")
	n.rename("new", "etc")
	n.until("prod", "edited")
	n.write("etc/countersign/policies/dev.json", lax)
	n.until("dev", "lax")
}

func TestADirectoryThatComesLate(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system})
	n.config.Directory = n.path("etc/countersign/policies")
	n.run()
	n.is("prod", "denied: reading policy directory")
	n.mkdir("etc/countersign/policies")
	n.until("prod", "system")
	n.write("etc/countersign/policies/prod.json", strict)
	n.until("prod", "strict")
}

func TestALateMount(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict, "other/prod.json": edited})
	mount := func() error { return syscall.Mount(n.path("other"), n.path("policies"), "", syscall.MS_BIND, "") }
	if err := mount(); errors.Is(err, os.ErrPermission) {
		t.Skip("mounting needs root")
	}
	n.must(syscall.Unmount(n.path("policies"), syscall.MNT_DETACH))
	n.follow(files.OpenWithShortIntervals(n.config, soon))
	n.is("prod", "strict")
	n.must(mount())
	t.Cleanup(func() { _ = syscall.Unmount(n.path("policies"), syscall.MNT_DETACH) })
	n.until("prod", "edited")
	n.write("other/dev.json", lax)
	n.until("dev", "lax")
	n.must(syscall.Unmount(n.path("policies"), 0))
	n.until("prod", "strict")
	n.until("dev", "system")
}

func TestAnEmptyDirectoryThatHeldDocumentsIsAMissingMount(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict})
	n.documents = files.OpenWithShortIntervals(n.config, soon)
	stop := n.start()
	n.wait("the state file", func() bool {
		_, err := os.Stat(n.config.StateFile)
		return err == nil || n.touch("policies/dev.json")
	})
	stop()

	n.rename("policies", "elsewhere")
	n.mkdir("policies")
	n.follow(files.OpenWithShortIntervals(n.config, soon))
	n.is("prod", "denied: reading policy directory "+n.path("policies")+": it is empty, but held documents before; "+
		"a mount may be missing, or if it is meant to be empty remove "+n.config.StateFile)
	n.is("dev", "denied")
	n.remove("policies")
	n.rename("elsewhere", "policies")
	n.until("prod", "strict")
}

// touch makes a change that causes an event. It returns false, for use in conditions.
func (n *node) touch(name string) bool {
	n.write(name, lax)
	return false
}

func TestTheStateFile(t *testing.T) {
	tests := map[string]struct {
		state string // What it contains; "-": there is none.
		want  string
	}{
		"there is none":                     {"-", "system"},
		"it names the directory":            {"DIRECTORY\n", "denied"},
		"it names another directory":        {"/elsewhere\n", "system"},
		"it was cut short":                  {"/else", "denied"},
		"it is empty, as after a power cut": {"", "denied"},
		"it has a line too many":            {"/elsewhere\n\n", "denied"},
		"it names no directory":             {"elsewhere\n", "denied"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, map[string]string{"system.json": system})
			if test.state != "-" {
				n.write("state/policies-seen", strings.ReplaceAll(test.state, "DIRECTORY", n.config.Directory))
			}
			n.documents = files.Open(n.config)
			n.is("prod", test.want)
		})
	}
}

func TestAStateFileThatCannotBeReadDenies(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "state": "a file"})
	n.remove("state")
	n.mkdir("state/policies-seen")
	n.documents = files.Open(n.config)
	n.is("prod", "denied: reading policy directory")
}

func TestRemovingTheStateFileAcceptsAnEmptyDirectory(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system})
	n.write("state/policies-seen", n.config.Directory+"\n")
	n.follow(files.OpenWithShortIntervals(n.config, soon))
	n.is("prod", "denied")
	n.remove("state/policies-seen")
	n.until("prod", "system")
}

func TestAStateFileThatCannotBeWrittenIsAProblem(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict, "state": "a file"}).run()
	n.problem("recording that there were policies at " + n.config.Directory)
	n.is("prod", "strict")
}

func TestOpenWritesNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict})
	files.Open(n.config)
	if _, err := os.Stat(n.path("state")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state file's directory: %v, want it not to exist", err)
	}
}

func TestTheLastDocumentMayBeRemoved(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict})
	n.documents = files.Open(n.config)
	stop := n.start()
	n.remove("policies/prod.json")
	n.until("prod", "system")
	n.problem("")
	stop()
	n.documents = files.Open(n.config)
	n.is("prod", "system") // It was seen to be removed.
}

func TestAnotherEmptyDirectoryChangesNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict}).run()
	check := n.witness("strict", "edited")
	n.mkdir("empty")
	n.rename("policies", "old")
	n.rename("empty", "policies")
	n.problem("it is empty and not the directory that held the documents")
	n.write("policies/prod.json", edited)
	n.until("prod", "edited")
	n.problem("")
	check()
}
