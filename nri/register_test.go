package nri_test

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

func TestRegistersAgain(t *testing.T) {
	handler, _ := newHandler()
	c, s := registered(t, handler)
	for range 3 {
		s.awaitRegistered(t, true)
		c.die()
		s.awaitRegistered(t, false)
		c.start(t)
		c.awaitPlugin(t)
		if err := c.create(request()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSocketThatIsNotThereYet(t *testing.T) {
	c := newContainerd(t)
	handler, _ := newHandler()
	s := start(t, c.socket(), handler)
	s.log.await(t, "is NRI enabled in containerd", 1)
	c.start(t)
	c.awaitPlugin(t)
	s.awaitRegistered(t, true)
}

func TestSomethingElseListens(t *testing.T) {
	handler, _ := newHandler()
	listener, socket := bareSocket(t)
	s := start(t, socket, handler)
	connection, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Write([]byte("220 smtp.example\r\n")); err != nil {
		t.Fatal(err)
	}
	connection.Close()
	s.log.await(t, "not registered with containerd", 1)
	runtime := acceptBare(t, listener)
	await(t, runtime.registered, "a registration")
}

// A loss is news each time, even when it reads the same as the one before.
func TestEachLossIsSaid(t *testing.T) {
	handler, _ := newHandler()
	c, s := registered(t, handler)
	for i := range 3 {
		s.awaitRegistered(t, true)
		c.wire.cut()
		s.log.await(t, "not registered with containerd", i+1)
	}
}

func TestRuntimeThatStaysAwayIsSaidOnce(t *testing.T) {
	c := newContainerd(t)
	handler, _ := newHandler()
	s := start(t, c.socket(), handler)
	for range 4 {
		s.awaitRegistered(t, false)
	}
	s.stop(t)
	s.log.await(t, "not registered with containerd", 1)
	if got := countOf(s.log.String(), "not registered with containerd"); got != 1 {
		t.Errorf("said %d times, want once:\n%s", got, s.log)
	}
}

// The stub of NRI 0.12.5 waits forever for a configuration that never comes, and holds its lock.
func TestRuntimeDiesBeforeItConfigures(t *testing.T) {
	handler, _ := newHandler()
	listener, socket := bareSocket(t)
	s := start(t, socket, handler)
	for range 3 {
		runtime := acceptBare(t, listener)
		await(t, runtime.registered, "a registration")
		runtime.die()
	}
	healthy := acceptBare(t, listener)
	await(t, healthy.registered, "a registration")
	healthy.configure(t)
	healthy.synchronize(t)
	s.awaitRegistered(t, true)
	s.stop(t)
	awaitNothingRuns(t)
}

func TestStoppedWhileRuntimeIsSilent(t *testing.T) {
	for _, after := range []string{"connecting", "registering", "configuring"} {
		t.Run(after, func(t *testing.T) {
			handler, _ := newHandler()
			listener, socket := bareSocket(t)
			s := start(t, socket, handler)
			if after == "connecting" {
				connection, err := listener.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer connection.Close()
			} else {
				runtime := acceptBare(t, listener)
				await(t, runtime.registered, "a registration")
				if after == "configuring" {
					runtime.configure(t)
				}
			}
			s.stop(t)
			awaitNothingRuns(t)
			if s.err != nil {
				t.Errorf("Run returned %v", s.err)
			}
		})
	}
}

func TestStoppedWhileThereIsNoSocket(t *testing.T) {
	handler, _ := newHandler()
	s := start(t, t.TempDir()+"/nri.sock", handler)
	s.awaitRegistered(t, false)
	s.stop(t)
	awaitNothingRuns(t)
}

func TestConnectionLostDuringValidation(t *testing.T) {
	handler, reported := newHandler()
	deciding, release := blocking(handler)
	defer release()
	c, s := registered(t, handler)
	s.awaitRegistered(t, true)
	result := make(chan error, 1)
	go func() { result <- c.create(request()) }()
	await(t, deciding, "the decision to begin")
	c.wire.cut()
	if err := await(t, result, "the runtime's refusal"); err == nil {
		t.Error("admitted without an answer")
	}
	if report := reported.await(t, 1)[0]; report.Verdict.Reason != policy.Pending {
		t.Errorf("reported %q, want pending", report.Verdict.Reason)
	}
	s.awaitRegistered(t, true)
}

// TestBackoffIsShortWhileThereIsNoSocket: containers are refused from the start of containerd until the plugin is
// registered. Registrations that fail are another matter: each is a chance of a deadlock in containerd.
func TestBackoffIsShortWhileThereIsNoSocket(t *testing.T) {
	dial := func(cause error) error {
		return fmt.Errorf("connecting to NRI: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", cause)})
	}
	for name, test := range map[string]struct {
		failed error
		most   time.Duration
	}{
		"there is no socket":  {dial(syscall.ENOENT), 400 * time.Millisecond},
		"nobody listens":      {dial(syscall.ECONNREFUSED), 400 * time.Millisecond},
		"it may not be used":  {dial(syscall.EACCES), 2 * time.Second},
		"registration failed": {nri.ErrUnsupported, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			backoff := 100 * time.Millisecond
			for range 10 {
				backoff = nri.NextBackoff(backoff, test.failed)
			}
			if backoff != test.most {
				t.Errorf("it is %v, want %v", backoff, test.most)
			}
		})
	}
}
