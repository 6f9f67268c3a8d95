// Upgrade changes the chart of a kind cluster again and again: to the previous version, to this one, back, and without
// a new version. Meanwhile, pods with a signed and with an unsigned image are created on each node. It prints a table,
// and fails unless every node enforced at each moment: make e2e-kind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "upgrade:", err)
		os.Exit(1)
	}
}

// chart is one version of the chart, and the tag of its image.
type chart struct{ directory, tag string }

// release is countersign as Helm installs it.
type release struct {
	previous, current chart
	// values are arguments of helm.
	values []string
}

func run(ctx context.Context) (failed error) {
	r := release{current: chart{"conf/chart", "kind"}}
	flag.StringVar(&r.previous.directory, "previous", "", "`directory` with the previous version of the chart")
	flag.StringVar(&r.previous.tag, "previous-tag", "previous", "`tag` of the previous version's image")
	flag.Func("values", "`file` with values of the chart", func(file string) error {
		r.values = append(r.values, "--values", file)
		return nil
	})
	cluster := flag.String("cluster", "countersign", "`name` of the kind cluster")
	repository := flag.String("repository", "localhost:5001/shop", "repository of the images")
	flag.Parse()
	if r.previous.directory == "" {
		return errors.New("--previous is empty")
	}
	nodes, err := openNodes(ctx, *cluster)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, closeNodes(nodes)) }()
	images := images{repository: *repository}
	for _, node := range nodes {
		if err := node.prepare(ctx, images); err != nil {
			return fmt.Errorf("%s: %w", node.name, err)
		}
	}
	var rows []row
	for i, step := range r.steps(nodes) {
		fmt.Printf("$ %s\n", step.what)
		row, err := measure(ctx, fmt.Sprintf("step-%d", i+1), step, churn{images: images, nodes: nodes})
		rows = append(rows, row)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", step.what, err), print(os.Stdout, rows))
		}
	}
	return errors.Join(print(os.Stdout, rows), judge(rows))
}

// step is one change of the cluster.
type step struct {
	what   string
	change func(context.Context) error
	// starts is how often the change has to start the daemon of each node; negative: any number of times.
	starts int
}

func (r release) steps(nodes []*machine) []step {
	return []step{
		{"the older version is installed", r.upgrade(r.previous), 1},
		{"the newer version is installed", r.upgrade(r.current), 1},
		{"helm rollback", r.rollBack, 1},
		{"the newer version is installed again", r.upgrade(r.current), 1},
		{"a value restarts only the agent", r.upgrade(r.current, "--set", "agent.metricsPort=9474"), 0},
		{"the same version is installed again", r.restartInstaller, 0},
		{"the installer is killed at its work", r.killInstaller(nodes), -1},
		{"the daemon is stopped for a while", func(ctx context.Context) error { return stopDaemons(ctx, nodes) }, 1},
	}
}

const namespace = "countersign-system"

func (r release) upgrade(c chart, more ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		arguments := []string{"upgrade", "countersign", c.directory, "--namespace", namespace, "--set", "image.tag=" + c.tag}
		if _, err := output(ctx, "helm", append(append(arguments, r.values...), more...)...); err != nil {
			return err
		}
		return rolledOut(ctx)
	}
}

func (r release) rollBack(ctx context.Context) error {
	if _, err := output(ctx, "helm", "rollback", "countersign", "--namespace", namespace); err != nil {
		return err
	}
	return rolledOut(ctx)
}

func (r release) restartInstaller(ctx context.Context) error {
	_, err := output(ctx, "kubectl", "--namespace", namespace, "rollout", "restart", "daemonset/countersign-installer")
	return errors.Join(err, rolledOut(ctx))
}

// killInstaller installs the older version, kills the installer of each node while it runs, and lets the next one
// finish.
func (r release) killInstaller(nodes []*machine) func(context.Context) error {
	return func(ctx context.Context) error {
		stop, stopped := make(chan struct{}), make(chan error, len(nodes))
		for _, node := range nodes {
			go func() { stopped <- node.killInstaller(ctx, stop) }()
		}
		err := r.upgrade(r.previous)(ctx)
		close(stop)
		for range nodes {
			err = errors.Join(err, <-stopped)
		}
		return err
	}
}

// stopDaemons stops each node's daemon until the kubelet was refused a container of a signed and of an unsigned image.
func stopDaemons(ctx context.Context, nodes []*machine) error {
	for _, node := range nodes {
		if _, err := node.run(ctx, "systemctl", "stop", "countersign"); err != nil {
			return err
		}
		failed := node.untilBothWait(ctx)
		if _, err := node.run(ctx, "systemctl", "start", "countersign"); err != nil || failed != nil {
			return errors.Join(failed, err)
		}
	}
	return nil
}

func rolledOut(ctx context.Context) error {
	for _, name := range []string{"installer", "agent"} {
		_, err := output(ctx, "kubectl", "--namespace", namespace, "rollout", "status", "--timeout", "5m",
			"daemonset/countersign-"+name)
		if err != nil {
			return err
		}
	}
	return nil
}

// since returns a time for journalctl.
func since(t time.Time) string {
	return fmt.Sprintf("@%.6f", float64(t.UnixMicro())/1e6)
}

// lines returns the lines of a text that are not empty.
func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}
