package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/countersign/countersign/integration/node"
)

const (
	// explainRuns is how often each explanation is requested.
	explainRuns = 200
	// explainRecords is how many records the audit log has: about those of one file until it is rotated.
	explainRecords = 100_000
	// explainBound is how long explain may take, in milliseconds.
	explainBound = 300
)

// explanations measures the command explain from its start to its end, on a node with 100 images.
func (b *bench) explanations(ctx context.Context) (err error) {
	image, err := b.signedImage(ctx)
	if err != nil {
		return err
	}
	defer func() { closing(&err, image.registry.Close) }()
	n, err := node.Boot(ctx, node.Config{Tools: b.tools, RequiredPlugins: []string{"countersign"}})
	if err != nil {
		return err
	}
	defer func() { closing(&err, n.Close) }()
	if err := errors.Join(fill(ctx, n, 100), n.WritePolicy("", image.policy.JSON())); err != nil {
		return err
	}
	log := n.Path("audit.log")
	daemon, err := n.StartDaemon(ctx, node.DaemonConfig{
		Program: b.program, Settings: map[string]map[string]any{"audit": {"file": log}},
	})
	if err != nil {
		return err
	}
	subjects, err := b.explained(ctx, n, image)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.report.out, "\nthe command explain, from its start to its end, %d times\n", explainRuns)
	for _, s := range subjects {
		if err := b.explain(ctx, daemon.ConfigFile(), s); err != nil {
			return err
		}
	}
	if err := errors.Join(lengthen(log, explainRecords), daemon.Restart(ctx)); err != nil {
		return err
	}
	refused := subjects[len(subjects)-1]
	refused.what = fmt.Sprintf("%s, after a restart of the daemon, from %d records", refused.what, explainRecords)
	if err := b.explain(ctx, daemon.ConfigFile(), refused); err != nil {
		return err
	}
	return b.explainFromJournal(ctx, daemon, log, refused)
}

// explainSubject is what explain is asked about.
type explainSubject struct {
	what      string
	arguments []string
	// says is in the output.
	says string
	// environment is added to that of this process.
	environment []string
}

// explained runs a signed and an unsigned image, and returns what can be asked about them.
func (b *bench) explained(ctx context.Context, n *node.Node, image signedImage) ([]explainSubject, error) {
	made, err := b.tools.Image("benchmark unsigned")
	if err != nil {
		return nil, err
	}
	unsigned, err := image.registry.Push(ctx, "bench/unsigned:v1", made)
	if err != nil {
		return nil, err
	}
	pod := node.Pod{Namespace: "default", Name: "runs", Container: node.Container{Image: image.Reference}}
	running, err := n.RunPodUntil(ctx, pod)
	if err != nil {
		return nil, err
	}
	refused := node.Pod{Namespace: "default", Name: "refused", Container: node.Container{Image: unsigned.Reference}}
	if _, err := n.RunPodUntil(ctx, refused); err == nil || !strings.Contains(err.Error(), "(unsigned)") {
		return nil, fmt.Errorf("the unsigned image is not refused as unsigned: %w", err)
	}
	return []explainSubject{
		{"a container that runs, by its ID", []string{running.Containers["main"]}, "(accepted)", nil},
		{"an image", []string{"-n", "default", image.Reference}, "(accepted)", nil},
		{"a container that was refused, by its pod", []string{"default/refused"}, "main: deny (unsigned)", nil},
	}, nil
}

// explain measures explanations of one subject.
func (b *bench) explain(ctx context.Context, config string, s explainSubject) error {
	arguments := append([]string{"explain", "--config", config}, s.arguments...)
	took := make([]float64, 0, explainRuns)
	for range explainRuns {
		command := exec.CommandContext(ctx, b.program, arguments...)
		command.Env = append(os.Environ(), s.environment...)
		start := time.Now()
		output, err := command.Output()
		took = append(took, time.Since(start).Seconds())
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || !bytes.Contains(output, []byte(s.says)) {
			return fmt.Errorf("explaining %s: %w\n%s", s.what, err, output)
		}
	}
	b.report.atMost(s.what+", p50", 1e3*quantile(took, 0.5), explainBound, "ms")
	b.report.atMost(s.what+", p99", 1e3*quantile(took, 0.99), explainBound, "ms")
	return nil
}

// lengthen repeats the records of an audit log, about other pods, until it has that many.
func lengthen(path string, records int) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("lengthening the audit log: %w", err)
	}
	defer file.Close()
	buffered := bufio.NewWriter(file)
	lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	for i := range records {
		other := bytes.ReplaceAll(lines[i%len(lines)], []byte(`"pod":"`), fmt.Appendf(nil, `"pod":"other-%d-`, i))
		if _, err := buffered.Write(append(other, '\n')); err != nil {
			return fmt.Errorf("lengthening the audit log: %w", err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("lengthening the audit log: %w", err)
	}
	return nil
}
