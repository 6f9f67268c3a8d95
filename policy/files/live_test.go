package files_test

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/policy/files"
)

const edited = `{"is": "edited"}`

// witness watches the document of prod until the test calls the returned function, which fails the test if it was ever
// anything else than one of these.
func (n *node) witness(allowed ...string) (check func()) {
	n.Helper()
	var others sync.Map
	stop := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			got := governs(n.documents.Current(), "prod")
			if !strings.Contains(" "+strings.Join(allowed, " ")+" ", " "+got+" ") {
				others.Store(got, true)
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		n.Helper()
		close(stop)
		looking.Wait()
		others.Range(func(got, _ any) bool {
			n.Errorf("prod was governed by %q for a moment, want only %q", got, allowed)
			return true
		})
	}
}

func TestAnEditedDocumentReplacesTheOldOneDirectly(t *testing.T) {
	tests := map[string]func(n *node, path string){
		"written in place, as cp does": func(n *node, path string) { n.write(path, edited) },
		"renamed over, as mv and rsync do": func(n *node, path string) {
			n.write("policies/.prod.json.Xa81z", edited)
			n.rename("policies/.prod.json.Xa81z", path)
		},
		"by sed -i": func(n *node, path string) {
			n.must(exec.CommandContext(n.Context(), "sed", "-i", "s/strict/edited/", n.path(path)).Run())
		},
		"by vim, which tries a name, renames the old file and writes a new one": func(n *node, path string) {
			n.write("policies/.prod.json.swp", "b0VIM")
			n.write("policies/4913", "")
			n.remove("policies/4913")
			n.rename(path, path+"~")
			n.write(path, edited)
			n.remove(path + "~")
			n.remove("policies/.prod.json.swp")
		},
		"removed and written anew": func(n *node, path string) {
			n.remove(path)
			n.write(path, edited)
		},
		"with the same length and the old times": func(n *node, path string) {
			info, err := os.Stat(n.path(path))
			n.must(err)
			n.write(path, edited)
			n.must(os.Chtimes(n.path(path), info.ModTime(), info.ModTime()))
		},
		"replaced by a symlink": func(n *node, path string) {
			n.write("elsewhere.json", edited)
			n.replace(n.path("elsewhere.json"), path)
		},
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict}).run()
			check := n.witness("strict", "edited")
			edit(n, "policies/prod.json")
			n.until("prod", "edited")
			check()
		})
		t.Run(name+": the system's", func(t *testing.T) {
			t.Parallel()
			n := newNode(t, map[string]string{"system.json": strict, "policies/qa.json": lax}).run()
			check := n.witness("strict", "edited")
			edit(n, "system.json")
			n.until("prod", "edited")
			check()
		})
	}
}

func TestWhileAFileIsWrittenTheLastGoodDocumentApplies(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict}).run()
	check := n.witness("strict", "edited")
	file, err := os.Create(n.path("policies/prod.json"))
	n.must(err)
	defer file.Close()
	_, err = file.WriteString(edited[:8])
	n.must(err)
	n.problem("parsing policy " + n.path("policies/prod.json"))
	if problems := n.documents.Status().Problems; !problems[0].Kept || problems[0].Namespace != "prod" {
		t.Errorf("the problem is %+v, want one of prod, and the last good document in force", problems[0])
	}
	_, err = file.WriteString(edited[8:])
	n.must(err)
	n.until("prod", "edited")
	n.problem("")
	check()
	n.logged(1, `"policy problem resolved"`)
}

func TestAnInvalidDocumentAffectsNoOther(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{
		"system.json": system, "policies/prod.json": strict, "policies/dev.json": lax,
	}).run()
	n.put("policies/prod.json", "{")
	n.put("policies/new.json", "{")
	n.put("policies/dev.json", edited)
	n.put("system.json", "{")
	n.until("new", "denied: parsing policy")
	n.until("dev", "edited")
	n.problem("system.json")
	n.is("prod", "strict")
	n.is("other", "system")
	n.put("policies/new.json", lax)
	n.until("new", "lax")
	n.put("policies/prod.json", `{"is": 1}`) // Wrong in another way.
	n.problem("cannot unmarshal")
	n.logged(2, `"policy problem"`, "prod.json")
	n.logged(1, `"policy problem"`, "new.json")
	n.logged(1, `"policy problem"`, "system.json")
	n.logged(1, `"policy problem resolved"`)
}

func TestADocumentThatCannotBeReadKeepsItsLastGoodVersion(t *testing.T) {
	places := map[string]func(*node, string){
		"a directory":       func(n *node, path string) { n.mkdir(path) },
		"a symlink to none": func(n *node, path string) { n.symlink("nowhere", path) },
		"a symlink to itself": func(n *node, path string) {
			n.symlink(n.path(path), path)
		},
	}
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict}).run()
			before := n.documents.Current().Namespaces["prod"].Document
			check := n.witness("strict")
			n.rename("policies/prod.json", "kept")
			place(n, "policies/prod.json")
			n.problem("reading policy " + n.path("policies/prod.json"))
			n.remove("policies/prod.json")
			n.rename("kept", "policies/prod.json")
			n.problem("")
			check()
			if n.documents.Current().Namespaces["prod"].Document != before {
				t.Error("the same file returned, but its document is a different one")
			}
		})
	}
}

func TestADocumentThatDisappears(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{
		"system.json": system, "policies/prod.json": strict, "policies/dev.json": lax,
	}).run()
	removed := time.Now()
	n.remove("policies/prod.json")
	n.until("prod", "system")
	if stayed := time.Since(removed); stayed < time.Second {
		t.Errorf("the system's document took over after %s, want a second at least", stayed)
	}
	n.is("dev", "lax")

	n.write("policies/prod.json", "{")
	n.until("prod", "denied") // What was removed is not the last good version of what is new.
	n.write("policies/prod.json", strict)
	n.until("prod", "strict")
}

func TestTheSystemPolicyNeverDisappears(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict}).run()
	n.remove("system.json")
	n.problem("system.json: no such file")
	n.write("policies/prod.json", edited)
	n.remove("policies/prod.json")
	n.until("prod", "system")
	n.is("dev", "system")
	n.write("system.json", lax)
	n.until("dev", "lax")
}

func TestASystemPolicyThatComesLate(t *testing.T) {
	t.Parallel()
	n := newNode(t, nil)
	n.config.System = n.path("etc/containers/policy.json")
	n.run()
	n.is("prod", "denied: reading policy")
	n.write("etc/containers/policy.json", system)
	n.until("prod", "system")
}

func TestUnchangedDocumentsStayTheSame(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{
		"system.json": system, "policies/a.json": strict, "policies/b.json": strict, "policies/c.json": strict,
	}).run()
	before := n.documents.Current()
	parsed := n.parser.parsed.Load()
	n.put("policies/b.json", strict) // The same contents in another file.
	n.put("policies/c.json", edited)
	n.until("c", "edited")
	after := n.documents.Current()
	if after == before {
		t.Fatal("the set is the same one, with another document in it")
	}
	if governs(before, "c") != "strict" {
		t.Error("a set that was handed out changed")
	}
	for _, namespace := range []string{"a", "b"} {
		if before.Namespaces[namespace] != after.Namespaces[namespace] {
			t.Errorf("the document of %s is another one, although only that of c changed", namespace)
		}
	}
	if before.System != after.System {
		t.Error("the system's document is another one, although only that of c changed")
	}
	if more := n.parser.parsed.Load() - parsed; more != 1 {
		t.Errorf("one changed document cost %d parses, want 1", more)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system})
	n.documents = files.Open(n.config)
	n.write("policies/prod.json", strict) // Between the first look and the first watch.
	stop := n.start()
	n.until("prod", "strict")
	if err := n.documents.Run(t.Context()); err == nil {
		t.Error("Run runs twice at once")
	}
	stop()
	n.write("policies/prod.json", edited)
	n.is("prod", "strict")
	n.Cleanup(n.start())
	n.until("prod", "edited")
}
