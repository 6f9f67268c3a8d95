package explain_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestAPanicIsExplained runs a program in which a fault is planted when it is built, because no input is known that
// makes the product panic: the judge of signatures panics for each requirement of a signature. The container is
// refused, the daemon continues, and the refusal, the log, the metric and explain name the fault.
func TestAPanicIsExplained(t *testing.T) {
	w := rig.NewWorkshop(t)
	buildFaulty(t, w)
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	l := &lab{Rig: w.NewRig(t, registry)}
	l.Daemon = l.PrepareDaemon(t, node.DaemonConfig{})
	l.require(t, "", node.Accept())
	l.require(t, prod, node.Cosign(l.Key.Public))
	l.Start(t)

	image := l.signed(t, "shop/web:v1")
	pod := node.Pod{
		Namespace: prod, Name: "internal", Container: node.Container{Name: "app", Image: image.Reference},
	}
	err := l.attempt(t, pod)
	if !rig.IsRefused(err, "internal") || strings.Contains(err.Error(), "goroutine") {
		t.Fatalf("it should be refused as internal, without the stack: %v", err)
	}
	shown := outputs{"internal": l.wantExplained(t, refusal{reason: "internal", status: 2, words: []string{
		"panic in a judge of signatures: " + planted,
	}}, prod+"/internal")}
	shown["internal-log"] = l.panicRecord(t)
	l.compareDocs(t, shown)
	if rig.Must(l.Daemon.Metric(t.Context(), `countersign_panics_total{part="a judge of signatures"}`))(t) == 0 {
		t.Error("the panic is not counted")
	}
	l.BecomesRunnable(t, loose, image)
}

// planted is what the faulty program panics with.
const planted = "a fault that a test planted"

// buildFaulty makes the workshop's program one with the fault, by an overlay of go build.
func buildFaulty(t *testing.T, w *rig.Workshop) {
	t.Helper()
	const guard = "defer policy.RecoverFinding(\"a judge of signatures\", j.panicFunc(), &finding)\n"
	judge := rig.Must(filepath.Abs("../../policy/signature/judge.go"))(t)
	source := string(rig.Must(os.ReadFile(judge))(t))
	if strings.Count(source, guard) != 1 {
		t.Fatalf("%s has not once %q, after which the fault is planted", judge, guard)
	}
	fault := fmt.Sprintf("if requirement.NeedsEvidence {\npanic(%q)\n}\n", planted)
	faulty, overlay := filepath.Join(t.TempDir(), "judge.go"), filepath.Join(t.TempDir(), "overlay.json")
	rig.OK(t, os.WriteFile(faulty, []byte(strings.Replace(source, guard, guard+fault, 1)), 0o600))
	replace := map[string]map[string]string{"Replace": {judge: faulty}}
	rig.OK(t, os.WriteFile(overlay, rig.Must(json.Marshal(replace))(t), 0o600))
	t.Setenv("GOFLAGS", os.Getenv("GOFLAGS")+" -overlay="+overlay)
	w.Program = w.Build(t, "./plugin/countersign")
}

// panicRecord returns the record of the panic in the daemon's log, without its time and stack.
func (l *lab) panicRecord(t *testing.T) string {
	t.Helper()
	var record map[string]any
	rig.Eventually(t, "the panic in the log", func() error {
		records, err := l.Daemon.Log("recovered from a panic: this is a bug in countersign, please report it")
		if err == nil && len(records) == 0 {
			err = errors.New("it is not there")
		}
		if err == nil {
			record = records[0]
		}
		return err
	})
	stack, _ := record["stack"].(string)
	if record["panic"] != planted || !strings.Contains(stack, "signature.(*Judge).Judge") {
		t.Errorf("the log does not name the fault and its function: %v", record)
	}
	delete(record, "time")
	record["stack"] = "goroutine …"
	return string(rig.Must(json.Marshal(record))(t)) + "\n"
}
