package supervisor_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/supervisor"
)

// TestMain makes this test binary a supervisor or a daemon when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) != 3 {
		os.Exit(m.Run())
	}
	node := newNode(os.Args[2])
	run := map[string]func(*supervisor.Node) error{"supervise": supervise, "daemon": daemon}[os.Args[1]]
	if run == nil {
		os.Exit(m.Run())
	}
	if err := run(node); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// newNode returns a node whose files are all in a directory.
func newNode(directory string) *supervisor.Node {
	program, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return &supervisor.Node{
		Directory: filepath.Join(directory, "run"), Settings: filepath.Join(directory, "settings"),
		Journal: filepath.Join(directory, "journal"), Logs: filepath.Join(directory, "logs"), Program: program,
		Supervise: []string{"supervise", directory}, Daemon: []string{"daemon", directory},
	}
}

func supervise(node *supervisor.Node) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM)
	running, err := node.NewSupervisor(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	return running.Run(signals)
}

// daemon prints its environment, and each signal that it receives. It ends after SIGTERM.
func daemon(node *supervisor.Node) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	stop, err := node.Watch(context.Background(), slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintln(os.Stderr, "environment:", strings.Join(os.Environ(), " "))
	for received := range signals {
		fmt.Fprintln(os.Stderr, "received:", received)
		if received == syscall.SIGTERM {
			return nil
		}
	}
	return nil
}

// launched returns a node with a supervisor and a daemon. Both end with the test.
func launched(t *testing.T, settings string) *supervisor.Node {
	t.Helper()
	node := newNode(t.TempDir())
	if err := os.WriteFile(node.Settings, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(logged(node))
		}
	})
	if started, err := node.Ensure(); err != nil || !started {
		t.Fatalf("Ensure returned %v, %v", started, err)
	}
	await(t, "both run", func() bool { return running(node) })
	return node
}

func logged(node *supervisor.Node) string {
	text, _ := os.ReadFile(filepath.Join(node.Logs, "supervisor.log"))
	return string(text)
}

func running(node *supervisor.Node) bool {
	state, err := node.State()
	return err == nil && state.Supervisor != 0 && state.Daemon != 0
}

func state(t *testing.T, node *supervisor.Node) supervisor.State {
	t.Helper()
	found, err := node.State()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// await waits for a condition, on a machine however slow.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(2 * time.Minute)
	for !condition() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("it never happened that %s", what)
		}
	}
}
