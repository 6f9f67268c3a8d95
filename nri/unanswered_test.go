package nri_test

import (
	"net"
	"testing"
	"time"
)

// TestRuntimeThatDoesNotAnswer: containerd's NRI serves one plugin at a time, and is deadlocked, or waits for
// containers to stop. The plugin reports that and waits, because each further registration could cause another
// deadlock.
func TestRuntimeThatDoesNotAnswer(t *testing.T) {
	const report = "containerd's NRI accepts no plugin"
	for name, test := range map[string]struct {
		// begin is what the runtime does before it falls silent, and says is what the report has about it.
		begin func(*testing.T, net.Conn) *bare
		says  string
	}{
		"after it accepted the connection": {
			func(*testing.T, net.Conn) *bare { return nil }, "no answer to the registration",
		},
		"after it configured the plugin": {
			func(t *testing.T, trunk net.Conn) *bare {
				t.Helper()
				b := serveBare(t, trunk)
				await(t, b.registered, "a registration")
				b.configure(t)
				return b
			}, "no answer with the running containers",
		},
	} {
		t.Run(name, func(t *testing.T) {
			handler, _ := newHandler()
			listener, socket := bareSocket(t)
			s := startImpatient(t, socket, handler, 100*time.Millisecond)
			trunk, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			runtime := test.begin(t, trunk)
			s.log.await(t, report, 1)
			s.log.await(t, test.says, 1)
			s.log.await(t, "restart containerd", 1)
			s.awaitRegistered(t, false)

			if runtime == nil {
				runtime = serveBare(t, trunk)
				await(t, runtime.registered, "the registration on the same connection")
				runtime.configure(t)
			}
			runtime.synchronize(t)
			s.awaitRegistered(t, true)
			s.stop(t)
			awaitNothingRuns(t)
			if got := countOf(s.log.String(), report); got != 1 {
				t.Errorf("it is said %d times, want once:\n%s", got, s.log)
			}
		})
	}
}

// TestRegistrationThatIsNotAnsweredIsNotRepeated: longer than NRI's stub waits.
func TestRegistrationThatIsNotAnsweredIsNotRepeated(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes six seconds")
	}
	handler, _ := newHandler()
	listener, socket := bareSocket(t)
	s := startImpatient(t, socket, handler, 6*time.Second)
	trunk, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer trunk.Close()
	s.awaitRegistered(t, false)
	if got := countOf(s.log.String(), "not registered with containerd, retrying"); got != 0 {
		t.Errorf("it was repeated:\n%s", s.log)
	}
}
