package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

// recording is a recorder with a file, and what it wrote to the log.
type recording struct {
	*recorder
	path   string
	output bytes.Buffer
}

func newRecording(t *testing.T) *recording {
	t.Helper()
	r := &recording{path: filepath.Join(t.TempDir(), "audit.log")}
	log := slog.New(slog.NewTextHandler(&r.output, nil))
	config := conf.Audit{File: r.path, MaxSize: conf.MiB, MaxFiles: 1}
	r.recorder = newRecorder(newAuditFile(config, log), log, metrics.New(nil))
	r.metrics.Probe(metrics.AuditFile, r.file.health)
	t.Cleanup(r.file.close)
	return r
}

// decide records a decision and a pull, and waits until they are written or lost.
func (r *recording) decide(t *testing.T) {
	t.Helper()
	stop := r.start(t.Context())
	r.record(t.Context(), nri.Report{Verdict: policy.Verdict{Reason: policy.Unsigned}})
	r.recordPull(audit.Pull{Verdict: policy.Verdict{Reason: policy.Unsigned}})
	stop()
}

// expect checks the health, how many records are in the file, and how many lines of the log have a text.
func (r *recording) expect(t *testing.T, status metrics.Status, inFile int, logged map[string]int) {
	t.Helper()
	raw, err := os.ReadFile(r.path)
	if err != nil && inFile > 0 {
		t.Fatal(err)
	}
	records := 0
	for line := range bytes.Lines(raw) {
		if _, ok := audit.Parse(line); ok {
			records++
		}
	}
	if records != inFile {
		t.Errorf("the file has %d records, want %d:\n%s", records, inFile, raw)
	}
	for text, want := range logged {
		if got := strings.Count(r.output.String(), text); got != want {
			t.Errorf("%d lines of the log have %q, want %d:\n%s", got, text, want, &r.output)
		}
	}
	for _, check := range r.metrics.Health().Checks {
		if check.Check == metrics.AuditFile && check.Status != status.String() {
			t.Errorf("health: %s (%s), want %s", check.Status, check.Cause, status)
		}
	}
}

func TestRecordsAreWrittenToTheLogAndToTheFile(t *testing.T) {
	r := newRecording(t)
	r.file.reopen()
	r.decide(t)
	r.expect(t, metrics.Yes, 2, map[string]int{"msg=decision": 1, "msg=pull": 1, "audit log file": 0})
	if err := os.Rename(r.path, r.path+"-rotated"); err != nil {
		t.Fatal(err)
	}
	r.file.reopen()
	r.decide(t)
	r.expect(t, metrics.Yes, 2, map[string]int{"msg=decision": 2, "msg=pull": 2})
}

// TestAFullDiskIsReportedAndLosesNoDecision limits the size of files of this process, which fails as a full disk does.
func TestAFullDiskIsReportedAndLosesNoDecision(t *testing.T) {
	r := newRecording(t)
	r.file.reopen()
	r.decide(t)
	whole := syscall.Rlimit{}
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &whole); err != nil {
		t.Fatal(err)
	}
	set := func(limit syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	defer set(whole)
	set(syscall.Rlimit{Cur: 10, Max: whole.Max})
	r.decide(t)
	r.decide(t)
	set(whole)
	r.expect(t, metrics.No, 2, map[string]int{
		"msg=decision": 3, "msg=pull": 3, "cannot write the audit log file": 1, "file too large": 1,
	})
	r.decide(t)
	r.expect(t, metrics.Yes, 4, map[string]int{"msg=decision": 4, "msg=pull": 4, "can be written again": 1})
}

func TestAFileThatCannotBeOpenedIsReportedAtTheStart(t *testing.T) {
	r := newRecording(t)
	if err := os.Mkdir(r.path, 0o700); err != nil {
		t.Fatal(err)
	}
	r.file.reopen()
	r.expect(t, metrics.No, 0, nil)
}

func TestWithoutAFileNothingIsMissing(t *testing.T) {
	none := newAuditFile(conf.Audit{}, nil)
	none.reopen()
	defer none.close()
	if status, cause := none.health(); status != metrics.Yes || cause == "" {
		t.Errorf("health: %s (%s)", status, cause)
	}
}
