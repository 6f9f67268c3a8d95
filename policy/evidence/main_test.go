package evidence_test

import (
	"flag"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	elsewhere.start()
	// The parallel tests wait for timeouts and need no processor of their own.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	// Every set is synced, which takes seconds on a busy disk, and is not the subject of these tests.
	if unix.Access("/dev/shm", unix.W_OK) == nil {
		_ = os.Setenv("TMPDIR", "/dev/shm")
	}
	m.Run()
}
