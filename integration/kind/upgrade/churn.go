package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// The images: their tags, and the values of the label "image" of their pods.
const (
	signed   = "signed"
	unsigned = "unsigned"
)

// prod is the namespace whose policy requires a signature.
const prod = "prod"

// absent is why containerd creates no container while the daemon is not connected.
const absent = `required plugin "countersign" not present`

type images struct{ repository string }

func (i images) reference(tag string) string { return i.repository + ":" + tag }

// pod returns a pod that needs nothing of Kubernetes.
func (i images) pod(name, step, node, tag string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{
			"name": name, "namespace": prod, "labels": map[string]string{"step": step, "image": tag},
		},
		"spec": map[string]any{
			"nodeName": node, "automountServiceAccountToken": false, "enableServiceLinks": false,
			"terminationGracePeriodSeconds": 1, "tolerations": []any{map[string]string{"operator": "Exists"}},
			"containers": []any{map[string]string{"name": "app", "image": i.reference(tag)}},
		},
	}
}

func create(ctx context.Context, objects ...map[string]any) error {
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
	if err != nil {
		return err
	}
	_, err = feed(ctx, list, "kubectl", "create", "--filename", "-")
	return err
}

// churn creates pods on all nodes.
type churn struct {
	images images
	nodes  []*machine
}

const (
	// between is the time between pods of the same image on one node, and tryEvery the one between attempts without the
	// kubelet.
	between  = 2 * time.Second
	tryEvery = 250 * time.Millisecond
	// least is how many pods of each image are created on each node in one step.
	least = 4
	// unsettled is how many pods of all nodes may be in progress: a busy machine does not get ever more of them.
	unsettled = 8
)

// tried counts the containers that were created through the CRI, without the kubelet, by their result.
type tried struct {
	admitted, refused, absent int
	// others are other errors, by their text.
	others map[string]int
}

// run creates pods and tries containers until the context ends, and then until there are enough.
func (c churn) run(ctx, until context.Context, step string) (tried, error) {
	var group sync.WaitGroup
	all := make([]tried, len(c.nodes))
	until, done := context.WithCancel(until)
	defer done()
	for i, node := range c.nodes {
		group.Go(func() { all[i] = c.try(ctx, until, node) })
	}
	tick := time.NewTicker(between)
	defer tick.Stop()
	var failed error
	for number := 1; failed == nil && (number <= least || until.Err() == nil); {
		<-tick.C
		if pods, err := podsOf(ctx, step); err != nil || len(inProgress(pods)) >= unsettled {
			failed = err
			continue
		}
		failed = create(ctx, c.round(step, number)...)
		number++
	}
	done()
	group.Wait()
	sum := tried{others: map[string]int{}}
	for _, t := range all {
		sum.add(t)
	}
	return sum, failed
}

// round returns the pods that are created together: one of each image on each node.
func (c churn) round(step string, number int) (pods []map[string]any) {
	for _, node := range c.nodes {
		for _, tag := range []string{signed, unsigned} {
			name := fmt.Sprintf("%s-%s-%d-on-%s", step, tag, number, node.name)
			pods = append(pods, c.images.pod(name, step, node.name, tag))
		}
	}
	return pods
}

func (t *tried) add(other tried) {
	t.admitted += other.admitted
	t.refused += other.refused
	t.absent += other.absent
	for text, count := range other.others {
		t.others[text] += count
	}
}

// try asks containerd for containers of the unsigned image until a context ends.
func (c churn) try(ctx, until context.Context, node *machine) tried {
	t := tried{others: map[string]int{}}
	tick := time.NewTicker(tryEvery)
	defer tick.Stop()
	for number := uint32(1); until.Err() == nil && ctx.Err() == nil; number++ {
		err := node.attempt(ctx, c.images.reference(unsigned), number)
		switch {
		case err == nil:
			t.admitted++
		case strings.Contains(err.Error(), "SignatureValidationFailed"):
			t.refused++
		case strings.Contains(err.Error(), absent):
			t.absent++
		default:
			t.others[err.Error()]++
		}
		<-tick.C
	}
	return t
}
