package kubernetes_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// spent is what statuses of nodes have cost so far.
type spent struct {
	at time.Time
	// apiServer, etcd and leader are the time of processors.
	apiServer, etcd, leader time.Duration
	// requests are those for statuses of nodes, by verb.
	requests map[string]int
}

// manyNodes adds nodes that are simulated. They write their statuses, and the agent, which is the leader, sums these
// up.
func (f *fleet) manyNodes(t *testing.T, leader *agent, count int) {
	t.Helper()
	f.kubectl(t, "delete", "nodepolicystatus", f.agents[0].name, "--ignore-not-found") // Its agent does not run.
	program := rig.Must(kubernetes.BuildSimulation(t.Context(), t.TempDir(), os.Stderr))(t)
	process := rig.Must(f.StartProgram(node.Program{
		Path: program, Log: f.Path("log", "simulate.log"),
		Arguments: []string{"--kubeconfig=" + f.cluster.Kubeconfig(), fmt.Sprintf("--nodes=%d", count)},
	}))(t)
	t.Cleanup(process.Kill)
	f.obeyed(t, "guard", count+1)

	before := f.spent(t, leader)
	f.apply(t, rejecting("", "many"))
	f.obeyed(t, "many", count+1)
	f.logSpent(t, "one change", before, f.spent(t, leader))
	before = f.spent(t, leader)
	lists := before.requests["LIST"]
	rig.OK(t, node.Until(t.Context(), "the leader to sum up without a change", func(context.Context) error {
		if pages := f.spent(t, leader).requests["LIST"] - lists; pages < 2*(1+count/500) {
			return fmt.Errorf("it has asked for %d pages", pages)
		}
		return nil
	}))
	f.logSpent(t, "two sums without a change", before, f.spent(t, leader))
	resident, peak := memory(t, leader)
	t.Logf("the leader has %d MiB of memory, and had at most %d MiB", resident, peak)
}

// obeyed waits until the status of a policy says that all nodes obey it.
func (f *fleet) obeyed(t *testing.T, policy string, count int) {
	t.Helper()
	want := fmt.Sprintf("%d/%d", count, count)
	rig.OK(t, node.Until(t.Context(), "all nodes to obey "+policy, func(ctx context.Context) error {
		nodes, err := f.cluster.Kubectl(ctx, "get", "clusterimagepolicy", policy, "-o", "jsonpath={.status.nodes.summary}")
		if err == nil && nodes != want {
			err = fmt.Errorf("%q do, want %q", nodes, want)
		}
		return err
	}))
}

var statusRequests = regexp.MustCompile(
	`(?m)^apiserver_request_total\{.*resource="nodepolicystatuses".*verb="([A-Z]+)".* (\d+)$`)

func (f *fleet) spent(t *testing.T, leader *agent) spent {
	t.Helper()
	now := spent{
		at: time.Now(), requests: map[string]int{}, leader: processorTime(t, leader.process.Pid()),
		apiServer: processorTime(t, f.cluster.Pid(kubernetes.APIServer)),
		etcd:      processorTime(t, f.cluster.Pid(kubernetes.Etcd)),
	}
	metrics := rig.Must(f.cluster.Kubectl(t.Context(), "get", "--raw", "/metrics"))(t)
	for _, found := range statusRequests.FindAllStringSubmatch(metrics, -1) {
		now.requests[found[1]] += rig.Must(strconv.Atoi(found[2]))(t)
	}
	return now
}

func (f *fleet) logSpent(t *testing.T, what string, before, after spent) {
	t.Helper()
	var requests []string
	for verb, count := range after.requests {
		requests = append(requests, fmt.Sprintf("%d %s", count-before.requests[verb], verb))
	}
	t.Logf("%s: %v; requests: %v; processors: API server %v, etcd %v, leader %v", what,
		after.at.Sub(before.at).Round(time.Millisecond), requests, after.apiServer-before.apiServer, after.etcd-before.etcd,
		after.leader-before.leader)
}

// processorTime returns how long processors have worked for a process.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat := string(rig.Must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)))(t))
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	// utime and stime are the fields 14 and 15 of proc_pid_stat(5), in hundredths of a second.
	ticks := rig.Must(strconv.Atoi(fields[11]))(t) + rig.Must(strconv.Atoi(fields[12]))(t)
	return time.Duration(ticks) * 10 * time.Millisecond
}
