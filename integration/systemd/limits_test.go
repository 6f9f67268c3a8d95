package systemd_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/rig"
)

// metrics is a script that prints the daemon's metrics.
const metrics = `exec 3<>/dev/tcp/127.0.0.1/9470 && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && cat <&3`

// limited checks with the kernel how much memory and how many threads the service may have, and with the daemon at
// what its garbage collector aims: three eighths of that memory.
func (l *lab) limited(t *testing.T, memory int) {
	t.Helper()
	group := strings.TrimSpace(l.property(t, "ControlGroup"))
	limits := map[string]int{"memory/GROUP/memory.limit_in_bytes": memory, "pids/GROUP/pids.max": 512}
	if _, err := os.Stat(l.Path("/sys/fs/cgroup/cgroup.procs")); err == nil {
		// Version 1 has no counterpart of MemoryHigh.
		limits = map[string]int{"GROUP/memory.max": memory, "GROUP/memory.high": 768 << 20, "GROUP/pids.max": 512}
	}
	for file, want := range limits {
		path := "/sys/fs/cgroup/" + strings.Replace(file, "GROUP", group, 1)
		if got := strings.TrimSpace(l.run(t, "cat", path)); got != strconv.Itoa(want) {
			t.Errorf("%s is %s, want %d", path, got, want)
		}
	}
	rig.Eventually(t, "the limit of the garbage collector", func() error {
		text, err := l.Run(t.Context(), "bash", "-c", metrics)
		if err != nil {
			return err
		}
		got := regexp.MustCompile(`(?m)^go_gc_gomemlimit_bytes (.*)$`).FindStringSubmatch(text)
		if got == nil {
			return fmt.Errorf("it is not among the metrics:\n%s", text)
		}
		bytes, err := strconv.ParseFloat(got[1], 64)
		if err == nil && int(bytes) != memory/8*3 {
			err = fmt.Errorf("it is %s, want %d", got[1], memory/8*3)
		}
		return err
	})
}
