package supervisor_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign/countersign/plugin/supervisor"
)

// TestEitherProcessIsStartedAgain kills each of the two processes, one after the other and in turns.
func TestEitherProcessIsStartedAgain(t *testing.T) {
	t.Parallel()
	node := launched(t, "")
	for range 2 {
		before := state(t, node)
		kill(t, before.Daemon)
		await(t, "another daemon runs", func() bool {
			now, err := node.State()
			return err == nil && now.Daemon != 0 && now.Daemon != before.Daemon
		})
		if now := state(t, node); now.Supervisor != before.Supervisor {
			t.Errorf("the supervisor was process %d, and is %d", before.Supervisor, now.Supervisor)
		}

		before = state(t, node)
		kill(t, before.Supervisor)
		await(t, "another supervisor runs", func() bool {
			now, err := node.State()
			return err == nil && now.Supervisor != 0 && now.Supervisor != before.Supervisor
		})
		if now := state(t, node); now.Daemon != before.Daemon {
			t.Errorf("the daemon was process %d, and is %d", before.Daemon, now.Daemon)
		}
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// TestASecondSupervisorIsNotStarted: containerd starts the plugin each time that containerd is started.
func TestASecondSupervisorIsNotStarted(t *testing.T) {
	t.Parallel()
	node := launched(t, "")
	before := state(t, node)
	if started, err := node.Ensure(); err != nil || started {
		t.Errorf("Ensure returned %v, %v", started, err)
	}
	if now := state(t, node); now != before {
		t.Errorf("%+v runs, after %+v", now, before)
	}
}

// TestReplaceRunsTheInstalledProgram: the supervisor is the same process, and the daemon another one.
func TestReplaceRunsTheInstalledProgram(t *testing.T) {
	t.Parallel()
	node := launched(t, "")
	before := state(t, node)
	if err := node.Replace(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := state(t, node)
	if now.Supervisor != before.Supervisor || now.Daemon == before.Daemon {
		t.Errorf("%+v runs, after %+v", now, before)
	}
	if text := logged(node); !strings.Contains(text, "received: terminated") {
		t.Errorf("the daemon was not asked to end:\n%s", text)
	}
	kill(t, now.Daemon)
	await(t, "the replaced supervisor starts a daemon", func() bool {
		after, err := node.State()
		return err == nil && after.Daemon != 0 && after.Daemon != now.Daemon
	})
}

func TestReloadReachesTheDaemon(t *testing.T) {
	t.Parallel()
	for name, killed := range map[string]bool{
		"of the supervisor that started it":               false,
		"of a supervisor that was started for one before": true,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := launched(t, "")
			before := state(t, node)
			if killed {
				kill(t, before.Supervisor)
				await(t, "another supervisor runs", func() bool {
					now, err := node.State()
					return err == nil && now.Supervisor != 0 && now.Supervisor != before.Supervisor
				})
			}
			if err := node.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			await(t, "the daemon reloads", func() bool { return strings.Contains(logged(node), "received: hangup") })
			if now := state(t, node); now.Daemon != before.Daemon {
				t.Errorf("the daemon was process %d, and is %d", before.Daemon, now.Daemon)
			}
		})
	}
}

func TestStopEndsBoth(t *testing.T) {
	t.Parallel()
	node := launched(t, "")
	if err := node.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := state(t, node); now != (supervisor.State{}) {
		t.Errorf("%+v runs", now)
	}
	if err := node.Reload(t.Context()); !errors.Is(err, supervisor.ErrNone) {
		t.Errorf("Reload returned %v", err)
	}
	if err := node.Find(t.Context()); !errors.Is(err, supervisor.ErrNone) {
		t.Errorf("Find returned %v", err)
	}
}

func TestTheDaemonHasTheEnvironmentInTheSettings(t *testing.T) {
	t.Parallel()
	node := launched(t, `# A comment.

HTTPS_PROXY=http://proxy.example:3128
  GOMEMLIMIT=384MiB
export A=b
nonsense
`)
	want := "environment: PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin " +
		"HTTPS_PROXY=http://proxy.example:3128 GOMEMLIMIT=384MiB\n"
	await(t, "the daemon prints its environment", func() bool { return strings.Contains(logged(node), "environment:") })
	text := logged(node)
	for _, line := range []string{want, "settings:5 is not NAME=value", "settings:6 is not NAME=value"} {
		if !strings.Contains(text, line) {
			t.Errorf("the log does not have %q:\n%s", line, text)
		}
	}
}
