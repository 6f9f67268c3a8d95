package systemd_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// TestANodeStartsContainersWhereverTheCommandWasKilled kills both commands at some of the times when they write to the
// disk, while systemd and containerd run: package install's own test does so at all times, without services. In audit
// mode, containers start afterwards, and the next run completes or restores.
func TestANodeStartsContainersWhereverTheCommandWasKilled(t *testing.T) {
	t.Parallel()
	l := newLab(t, node.Containerd24)
	l.save(t, loaded, "/root/image.tar")
	l.run(t, "ctr", "--namespace", "k8s.io", "images", "import", "/root/image.tar")
	l.starts(t, "prod", loaded)
	before := l.tree(t)
	killed := map[string]int{}
	for _, write := range []int{1, 6, 14} {
		for _, command := range []string{"install", "uninstall"} {
			if l.killedAt(t, write, "/root/1/countersign", command) {
				killed[command]++
			}
			l.starts(t, "prod", loaded)
			l.run(t, "/root/1/countersign", command)
			l.starts(t, "prod", loaded)
		}
		l.unchanged(t, before)
	}
	t.Logf("killed: %v", killed)
	if killed["install"] < 2 || killed["uninstall"] < 2 {
		t.Errorf("too few runs were killed: %v", killed)
	}
}

// killedAt runs a program and kills it when it has synced files so many times. It reports whether it did: a program may
// end before.
func (l *lab) killedAt(t *testing.T, times int, program ...string) bool {
	t.Helper()
	arguments := []string{
		"--follow-forks", "--quiet=all", "--output=/dev/null", "--trace=fsync",
		"--inject=fsync:signal=KILL:when=" + strconv.Itoa(times),
	}
	output, err := l.Run(t.Context(), "strace", append(arguments, program...)...)
	if err != nil && !strings.Contains(err.Error(), "killed") {
		t.Fatalf("%v: %s", err, output)
	}
	return err != nil
}
