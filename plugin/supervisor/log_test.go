package supervisor_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/supervisor"
)

// TestJournaldReceivesWhatIsPrinted: a stream begins with its settings. integration/systemd has a real journald.
func TestJournaldReceivesWhatIsPrinted(t *testing.T) {
	node := newNode(t.TempDir())
	listener, err := net.Listen("unix", node.Journal)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	received := make(chan string, 1)
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			received <- err.Error()
			return
		}
		text, _ := io.ReadAll(connection)
		received <- string(text)
	}()
	output, err := supervisor.OpenLog(node)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = output.WriteString("a message\n")
	_ = output.Close()
	if got, want := <-received, "countersign\n\n6\n0\n0\n0\n0\na message\n"; got != want {
		t.Errorf("journald receives %q, want %q", got, want)
	}
	if !node.Journaled() {
		t.Error("journald is not found")
	}
}

func TestWithoutJournaldAFileIsTheLog(t *testing.T) {
	node := newNode(t.TempDir())
	path := filepath.Join(node.Logs, "supervisor.log")
	print := func(text string) {
		output, err := supervisor.OpenLog(node)
		if err != nil {
			t.Fatal(err)
		}
		defer output.Close()
		if _, err := output.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	if node.Journaled() {
		t.Error("there is a journald")
	}
	print("first\n")
	print(strings.Repeat("x", 1<<20) + "\n")
	print("after the rotation\n")
	for path, want := range map[string]string{path: "after the rotation\n", path + ".1": "first\nx"} {
		if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("%s has %.40q, %v, want %q", path, text, err, want)
		}
	}
}

// TestALogThatCannotBeWrittenStopsNothing: the daemon is more important than its log.
func TestALogThatCannotBeWrittenStopsNothing(t *testing.T) {
	node := newNode(t.TempDir())
	if err := os.WriteFile(node.Logs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := supervisor.OpenLog(node)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	if _, err := output.WriteString("lost\n"); err != nil {
		t.Error(err)
	}
}

func TestThePauseGrowsWhileTheDaemonDoesNotStart(t *testing.T) {
	var pauses []time.Duration
	pause := time.Duration(0)
	for range 9 {
		pause = supervisor.NextPause(pause, time.Second)
		pauses = append(pauses, pause)
	}
	if pauses[0] != 200*time.Millisecond || pauses[1] != 400*time.Millisecond || pauses[8] != 30*time.Second {
		t.Errorf("the pauses are %v", pauses)
	}
	if pause = supervisor.NextPause(pause, time.Hour); pause != 200*time.Millisecond {
		t.Errorf("after an hour the pause is %s", pause)
	}
}
