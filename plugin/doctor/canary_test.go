package doctor_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/doctor"
)

// refusal is what containerd 2.4.2 returns for a container that countersign refuses.
func refusal(reason string) error {
	return status.Error(codes.Unknown, `failed to create containerd container: failed to get NRI adjustment for `+
		`container: validator "10-countersign" rejected container adjustment, reason: SignatureValidationFailed: `+
		`countersign.invalid/canary/refused:1: the policy rejects it (`+reason+`)`)
}

func TestCanariesAreJudged(t *testing.T) {
	absent := status.Error(codes.Unknown, `validation error: required plugin "countersign" not present`)
	late := status.Error(codes.DeadlineExceeded, "context deadline exceeded")
	answered := status.Error(codes.Unknown, "validator plugin 10-countersign failed: context deadline exceeded")
	const yes, no, unknown = doctor.Yes, doctor.No, doctor.Unknown
	for name, test := range map[string]struct {
		found                      *doctor.Canaries
		refused, admitted, removed doctor.Status
	}{
		"one is refused, and one runs": {&doctor.Canaries{Refused: refusal("rejected"), Removed: true}, yes, yes, yes},
		"both run":                     {&doctor.Canaries{Removed: true}, no, yes, yes},
		"both are refused": {
			&doctor.Canaries{Refused: refusal("rejected"), Admitted: refusal("rejected"), Removed: true}, yes, no, yes,
		},
		"the decision fails": {
			&doctor.Canaries{Refused: refusal("internal"), Admitted: refusal("internal"), Removed: true}, no, no, yes,
		},
		"the plugin is required and absent": {
			&doctor.Canaries{Refused: absent, Admitted: absent, Removed: true}, no, no, yes,
		},
		"the plugin does not answer": {
			&doctor.Canaries{Refused: answered, Admitted: answered, Removed: true}, no, no, yes,
		},
		"there was no time": {
			&doctor.Canaries{Refused: late, Admitted: context.DeadlineExceeded, Removed: true},
			unknown, unknown, yes,
		},
		"there is no pod": {
			&doctor.Canaries{Setup: errors.New("no pause image"), Removed: true},
			unknown, unknown, yes,
		},
		"something is left": {
			&doctor.Canaries{Refused: refusal("rejected"), Left: errors.New("busy")}, yes, yes, no,
		},
		"another process runs them": {&doctor.Canaries{Setup: errors.New("locked")}, unknown, unknown, unknown},
		"containerd does not answer in the end": {
			&doctor.Canaries{Refused: refusal("rejected"), Left: late}, yes, yes, unknown,
		},
		"they were not tried": {nil, unknown, unknown, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			results := make(map[string]doctor.Status)
			for _, result := range doctor.Examine(&doctor.Node{Canaries: test.found}, doctor.Canary(), nil) {
				results[result.Check] = result.Status
			}
			for check, want := range map[string]doctor.Status{
				"canary_refused": test.refused, "canary_admitted": test.admitted, "canary_removed": test.removed,
			} {
				if results[check] != want {
					t.Errorf("%s is %s, want %s", check, results[check], want)
				}
			}
		})
	}
}

// TestCanariesAreTriedAgain if a kubelet has stopped their pod.
func TestCanariesAreTriedAgain(t *testing.T) {
	stopped := status.Error(codes.Unknown, "runc create failed: lstat /proc/22446/ns/ipc: no such file or directory")
	for name, test := range map[string]struct {
		found doctor.Canaries
		want  bool
	}{
		"one is refused, and one runs": {doctor.Canaries{Refused: refusal("rejected")}, true},
		"both are refused": {
			doctor.Canaries{Refused: refusal("rejected"), Admitted: refusal("internal")}, true,
		},
		"the pod was stopped in between":     {doctor.Canaries{Refused: refusal("rejected"), Admitted: stopped}, false},
		"the pod was stopped before":         {doctor.Canaries{Refused: stopped, Admitted: stopped}, false},
		"the pod could not be created":       {doctor.Canaries{Setup: stopped}, false},
		"what should be refused was created": {doctor.Canaries{Admitted: stopped}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := doctor.IsAnswer(test.found); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestOneProcessRunsCanaries(t *testing.T) {
	config := conf.Default()
	config.Containerd.Address = filepath.Join(t.TempDir(), "containerd.sock")
	unlock, err := doctor.LockCanaries(config.Containerd.Address)
	if err != nil {
		t.Fatal(err)
	}
	found := doctor.RunCanaries(t.Context(), config)
	if found.Setup == nil || !strings.Contains(found.Setup.Error(), "another process runs canaries") {
		t.Errorf("while they run, the answer is %v", found.Setup)
	}
	unlock()
	found = doctor.RunCanaries(t.Context(), config)
	if found.Setup == nil || !strings.Contains(found.Setup.Error(), "connecting to containerd") {
		t.Errorf("afterwards, the answer is %v", found.Setup)
	}
}

func TestTheProgramOfTheImageEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exit")
	if err := os.WriteFile(path, doctor.ExitProgram(runtime.GOARCH), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := exec.CommandContext(t.Context(), path).Run(); err != nil {
		t.Error(err)
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		if program := doctor.ExitProgram(architecture); len(program) < 120 {
			t.Errorf("the program for %s has %d bytes", architecture, len(program))
		}
	}
}
