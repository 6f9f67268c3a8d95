package systemd_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// killsVariable is the environment variable with the number of commands that are killed: 200 take half an hour.
const killsVariable = "COUNTERSIGN_INSTALL_KILLS"

// TestANodeStartsContainersWhereverTheCommandWasKilled kills both commands at the times when they change something on
// the disk, while systemd and containerd run: package install's own test does so at all times, without services. In
// audit mode, containers start afterwards, and the next run completes or restores.
func TestANodeStartsContainersWhereverTheCommandWasKilled(t *testing.T) {
	t.Parallel()
	wanted := 8
	if text := os.Getenv(killsVariable); text != "" {
		wanted = rig.Must(strconv.Atoi(text))(t)
	}
	l := newLab(t, node.Containerd24)
	l.save(t, loaded, "/root/image.tar")
	l.run(t, "ctr", "--namespace", "k8s.io", "images", "import", "/root/image.tar")
	l.starts(t, "prod", loaded)
	before := l.tree(t)
	killed := map[string]int{}
	most := 2 * wanted
	for round := 0; killed["install"]+killed["uninstall"] < wanted && round < most; round++ {
		moment := momentOf(round)
		for _, command := range [][]string{{"install", "--nri-plugin=" + strconv.FormatBool(round%2 == 1)}, {"uninstall"}} {
			program := append([]string{"/root/1/countersign"}, command...)
			if l.killedAt(t, moment, program...) {
				killed[command[0]]++
			}
			l.starts(t, "prod", loaded)
			l.run(t, program[0], program[1:]...)
			l.starts(t, "prod", loaded)
		}
		l.unchanged(t, before)
		if t.Failed() {
			t.Fatalf("after %+v", moment)
		}
	}
	t.Logf("killed: %v", killed)
	if killed["install"]+killed["uninstall"] < wanted || killed["install"] < 2 || killed["uninstall"] < 2 {
		t.Errorf("too few runs were killed: %v, want %d", killed, wanted)
	}
}

// moment is the time of a system call that changes something: the first one, or a later one, of a thread.
type moment struct {
	call  string
	times int
}

// momentOf returns another moment in each round: early and late ones, so that few rounds have both.
func momentOf(round int) moment {
	calls := []string{"fsync", "renameat", "unlinkat", "mkdirat"}
	times := []int{1, 6, 14, 3, 9, 2, 20, 4, 11, 5, 7, 8, 17, 10, 12, 13}
	return moment{calls[round%len(calls)], times[round/len(calls)%len(times)]}
}

// killedAt runs a program and kills it at a moment. It reports whether it did: a program may end before.
func (l *lab) killedAt(t *testing.T, at moment, program ...string) bool {
	t.Helper()
	arguments := []string{
		"--follow-forks", "--quiet=all", "--output=/dev/null", "--trace=" + at.call,
		"--inject=" + at.call + ":signal=KILL:when=" + strconv.Itoa(at.times),
	}
	output, err := l.Run(t.Context(), "strace", append(arguments, program...)...)
	if err != nil && !strings.Contains(err.Error(), "killed") {
		t.Fatalf("%v: %s", err, output)
	}
	return err != nil
}
