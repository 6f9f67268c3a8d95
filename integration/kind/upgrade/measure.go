package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/policy"
)

// row is what happened during a step, on all nodes.
type row struct {
	step   step
	took   time.Duration
	starts map[string]int
	// pods counts the pods of each image. ran counts the signed pods that run, and the containers of unsigned pods that
	// ran.
	pods, ran map[string]int
	// temporary counts refusals of signed pods that a retry ended, and wrong those that stayed, by their text.
	temporary int
	wrong     map[string]int
	// refused counts the unsigned pods that were refused as unsigned.
	refused int
	// unchecked counts containers that run without a decision, and admitted decisions that admit the unsigned image.
	unchecked, admitted int
	tried               tried
}

// measure changes the cluster while pods are created, and counts how many of them ran, were refused, and waited.
func measure(ctx context.Context, label string, step step, c churn) (row, error) {
	r := row{
		step: step, starts: map[string]int{}, pods: map[string]int{}, ran: map[string]int{}, wrong: map[string]int{},
	}
	for _, node := range c.nodes {
		node.step = label
	}
	begin := time.Now()
	until, end := context.WithCancel(ctx)
	defer end()
	changed := make(chan error, 1)
	go func() {
		defer end()
		changed <- step.change(ctx)
	}()
	var failed error
	r.tried, failed = c.run(ctx, until, label)
	if failed = errors.Join(failed, <-changed); failed != nil {
		return r, failed
	}
	r.took = time.Since(begin)
	failed = node.Until(ctx, "the end of all pods of "+label, func(ctx context.Context) error {
		return settled(ctx, label)
	})
	return r, errors.Join(failed, r.count(ctx, label, begin, c.nodes))
}

// pod has the fields of a pod that are read here.
type pod struct {
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	Spec   struct{ NodeName string }
	Status struct {
		ContainerStatuses []struct {
			State struct {
				Waiting struct{ Reason, Message string }
				Running *struct{}
			}
		}
	}
}

// waits returns why the container of a pod waits; empty: it does not.
func (p pod) waits() string {
	for _, status := range p.Status.ContainerStatuses {
		return status.State.Waiting.Message
	}
	return ""
}

func (p pod) runs() bool {
	return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Running != nil
}

func podsOf(ctx context.Context, step string) ([]pod, error) {
	text, err := output(ctx, "kubectl", "--namespace", prod, "get", "pods", "--selector", "step="+step, "--output", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []pod }
	return list.Items, json.Unmarshal([]byte(text), &list)
}

// inProgress returns the pods that are not in their final state: a signed pod runs, and an unsigned pod is refused as
// unsigned.
func inProgress(pods []pod) []pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p pod) bool {
		return p.runs() || p.Metadata.Labels["image"] == unsigned && strings.Contains(p.waits(), "(unsigned)")
	})
}

// settled returns an error while pods are in progress.
func settled(ctx context.Context, step string) error {
	pods, err := podsOf(ctx, step)
	if err != nil {
		return err
	}
	if pods = inProgress(pods); len(pods) > 0 {
		return fmt.Errorf("%d pods; pod %s waits: %s", len(pods), pods[0].Metadata.Name, pods[0].waits())
	}
	return nil
}

func (r *row) count(ctx context.Context, label string, begin time.Time, nodes []*machine) error {
	pods, err := podsOf(ctx, label)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		image := pod.Metadata.Labels["image"]
		r.pods[image]++
		switch {
		case image == unsigned && strings.Contains(pod.waits(), "(unsigned)"):
			r.refused++
		case image == signed && pod.runs():
			r.ran[signed]++
		}
	}
	for _, node := range nodes {
		if r.starts[node.name], err = node.starts(ctx, begin); err != nil {
			return err
		}
		if err := r.containers(ctx, label, begin, node); err != nil {
			return err
		}
	}
	if err := r.events(ctx, label); err != nil {
		return err
	}
	_, err = output(ctx, "kubectl", "--namespace", prod, "delete", "pods", "--selector", "step="+label)
	return err
}

// containers counts the containers that a node has, and compares them with the daemon's decisions.
func (r *row) containers(ctx context.Context, label string, begin time.Time, node *machine) error {
	decisions, err := node.decisions(ctx, begin)
	if err != nil {
		return err
	}
	admitted := map[string]bool{}
	for _, d := range decisions {
		if d.Outcome != policy.Admit.String() {
			continue
		}
		admitted[d.Container] = true
		if strings.HasSuffix(d.Reference, ":"+unsigned) {
			r.admitted++
		}
	}
	answer, err := node.cri.Runtime.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{
		LabelSelector: map[string]string{namespaceLabel: prod},
	}})
	if err != nil {
		return err
	}
	for _, container := range answer.GetContainers() {
		name := container.GetLabels()[podLabel]
		if !strings.HasPrefix(name, label+"-") || container.GetState() == cri.ContainerState_CONTAINER_CREATED {
			continue
		}
		if strings.HasPrefix(name, label+"-"+unsigned+"-") {
			r.ran[unsigned]++
		}
		if !admitted[container.GetId()] {
			r.unchecked++
		}
	}
	return nil
}

// events counts the refusals of signed pods.
func (r *row) events(ctx context.Context, label string) error {
	text, err := output(ctx, "kubectl", "--namespace", prod, "get", "events", "--field-selector",
		"involvedObject.kind=Pod,reason=Failed", "--output", "json")
	if err != nil {
		return err
	}
	var list struct {
		Items []struct {
			InvolvedObject struct{ Name string }
			Message        string
			Count          int
		}
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return err
	}
	for _, event := range list.Items {
		if !strings.HasPrefix(event.InvolvedObject.Name, label+"-"+signed+"-") {
			continue
		}
		if final(event.Message) {
			r.wrong[event.Message] += max(event.Count, 1)
		} else {
			r.temporary += max(event.Count, 1)
		}
	}
	return nil
}

// final reports whether a refusal of a signed pod is one that asking again does not change. A refusal without a reason
// word is containerd's own, and has to end: see settled.
func final(message string) bool {
	word := regexp.MustCompile(`SignatureValidationFailed: .*\((\S+)\)`).FindStringSubmatch(message)
	return word != nil && policy.Reason(word[1]).Final()
}
