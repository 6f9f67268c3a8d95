package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
)

// podsNamespace has all pods of the measurement, and a policy that requires a signature.
const podsNamespace = "default"

// podsAtOnce starts many pods at once on two clusters of one node, with countersign and without it in turn. It measures
// the time until all of them run.
func (b *bench) podsAtOnce(ctx context.Context, pods, rounds int) (err error) {
	if rounds < 2 {
		return fmt.Errorf("%d rounds give no interval: 2 or more are needed", rounds)
	}
	tools, err := kubernetes.BuildTools(ctx, b.progress)
	if err != nil {
		return err
	}
	image, err := b.signedImage(ctx)
	if err != nil {
		return err
	}
	defer func() { closing(&err, image.registry.Close) }()
	var clusters [2]*kubernetes.Cluster
	for i, plugins := range [][]string{{"countersign"}, nil} {
		n, err := node.Boot(ctx, node.Config{Tools: b.tools, RequiredPlugins: plugins, Programs: tools.Directory})
		if err != nil {
			return err
		}
		defer func() { closing(&err, n.Close) }()
		config := kubernetes.Config{Node: n, Tools: tools, Kubelet: map[string]any{"maxPods": pods + 1}}
		if plugins != nil {
			if config.ImageService, err = b.protect(ctx, n, image.policy); err != nil {
				return err
			}
		}
		if clusters[i], err = kubernetes.Boot(ctx, config); err != nil {
			return err
		}
		defer func() { closing(&err, clusters[i].Close) }()
	}
	return b.comparePods(ctx, clusters, image.Reference, [2]int{pods, rounds})
}

// protect starts countersign on a node, and returns the socket of its image service.
func (b *bench) protect(ctx context.Context, n *node.Node, policy node.Policy) (socket string, err error) {
	if err := n.WritePolicy("", policy.JSON()); err != nil {
		return "", err
	}
	proxy, _, err := b.startWithProxy(ctx, n)
	if err != nil {
		return "", err
	}
	return n.Path("cri.sock"), proxy.Close()
}

// comparePods takes the number of pods and of rounds.
func (b *bench) comparePods(
	ctx context.Context, clusters [2]*kubernetes.Cluster, image string, counts [2]int,
) error {
	// The first round pulls the image, and is not counted.
	for _, cluster := range clusters {
		if _, err := startPods(ctx, cluster, image, 1); err != nil {
			return err
		}
	}
	var took [2][]float64
	for round := range counts[1] {
		for turn := range clusters {
			i := (round + turn) % len(clusters)
			seconds, err := startPods(ctx, clusters[i], image, counts[0])
			if err != nil {
				return err
			}
			took[i] = append(took[i], seconds)
			fmt.Fprintf(b.progress, "round %d, %s: %.2f s\n", round+1, []string{"with", "without"}[i], seconds)
		}
	}
	low, ratio, high := ratioOfPairs(took[0], took[1])
	fmt.Fprintf(b.report.out, "\n%d pods started at once, %d times on each node\n", counts[0], counts[1])
	b.report.note("until all run without countersign, median", quantile(took[1], 0.5), "s")
	b.report.note("until all run with countersign, median", quantile(took[0], 0.5), "s")
	b.report.note("the 95 % interval of their ratio, lower end", low, "")
	b.report.note("the 95 % interval of their ratio, upper end", high, "")
	b.report.atMost("their ratio, geometric mean of the pairs", ratio, 1.03, "")
	return nil
}

// startPods creates pods, waits until all of them run, and returns how long that took in seconds. Then it deletes them.
func startPods(ctx context.Context, cluster *kubernetes.Cluster, image string, count int) (seconds float64, err error) {
	pods := make([]any, count)
	for i := range pods {
		pods[i] = kubernetes.Pod(podsNamespace, "pod-"+strconv.Itoa(i), image, nil)
	}
	start := time.Now()
	if err := cluster.Apply(ctx, map[string]any{"apiVersion": "v1", "kind": "List", "items": pods}); err != nil {
		return 0, err
	}
	const all = "--all"
	_, err = cluster.Kubectl(ctx, "-n", podsNamespace, "wait", "pods", all,
		"--for=jsonpath={.status.phase}=Running", "--timeout=15m")
	seconds = time.Since(start).Seconds()
	if err != nil {
		return 0, err
	}
	if _, err := cluster.Kubectl(ctx, "-n", podsNamespace, "delete", "pods", all, "--timeout=15m"); err != nil {
		return 0, err
	}
	return seconds, idleNode(ctx, cluster)
}

// idleNode waits until a node has no sandboxes.
func idleNode(ctx context.Context, cluster *kubernetes.Cluster) error {
	for {
		list, err := cluster.CRI.Runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
		if err != nil {
			return fmt.Errorf("listing sandboxes: %w", err)
		}
		if len(list.GetItems()) == 0 {
			return nil
		}
		if err := wait(ctx, time.Second); err != nil {
			return errors.Join(err, fmt.Errorf("%d sandboxes are left", len(list.GetItems())))
		}
	}
}
