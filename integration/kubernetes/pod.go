package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// Object is a Kubernetes object, or a part of one, as it is written in JSON.
type Object = map[string]any

// Pod returns a pod with one container, main, of an image. spec has further fields of its specification, which replace
// those that every pod of these tests has.
func Pod(namespace, name, image string, spec Object) Object {
	all := Object{
		"nodeName": NodeName, "hostNetwork": true, "automountServiceAccountToken": false, "enableServiceLinks": false,
		"terminationGracePeriodSeconds": 0,
		"containers":                    []any{Object{"name": "main", "image": image}},
	}
	maps.Copy(all, spec)
	return Object{
		"apiVersion": "v1", "kind": "Pod", "metadata": Object{"namespace": namespace, "name": name}, "spec": all,
	}
}

// Namespace returns a namespace.
func Namespace(name string) Object {
	return Object{"apiVersion": "v1", "kind": "Namespace", "metadata": Object{"name": name}}
}

// Shown is what a user sees of a pod.
type Shown struct {
	// Status is the column STATUS of kubectl get pods.
	Status string
	// Messages are those of the containers that wait or have ended, by the name of the container.
	Messages map[string]string
}

// Show returns what kubectl shows of a pod.
func (c *Cluster) Show(ctx context.Context, namespace, name string) (Shown, error) {
	line, err := c.Kubectl(ctx, "-n", namespace, "get", "pod", name, "--no-headers")
	if err != nil {
		return Shown{}, err
	}
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return Shown{}, fmt.Errorf("kubectl shows %q", line)
	}
	text, err := c.Kubectl(ctx, "-n", namespace, "get", "pod", name, "-o", "json")
	if err != nil {
		return Shown{}, err
	}
	shown := Shown{Status: fields[2], Messages: map[string]string{}}
	return shown, shown.addMessages(text)
}

// state is a container's state.
type state struct {
	Waiting, Terminated *struct{ Reason, Message string }
}

func (s *Shown) addMessages(text string) error {
	type container struct {
		Name  string
		State state
	}
	pod := struct {
		Status struct{ ContainerStatuses, InitContainerStatuses, EphemeralContainerStatuses []container }
	}{}
	if err := json.Unmarshal([]byte(text), &pod); err != nil {
		return fmt.Errorf("reading a pod: %w", err)
	}
	status := pod.Status
	for _, list := range [][]container{
		status.ContainerStatuses, status.InitContainerStatuses, status.EphemeralContainerStatuses,
	} {
		for _, container := range list {
			if waiting := container.State.Waiting; waiting != nil {
				s.Messages[container.Name] = waiting.Reason + ": " + waiting.Message
			} else if ended := container.State.Terminated; ended != nil {
				s.Messages[container.Name] = ended.Reason + ": " + ended.Message
			}
		}
	}
	return nil
}

// Events returns the messages of the events of a pod, each with its reason, in the order in which they were first seen.
func (c *Cluster) Events(ctx context.Context, namespace, pod string) ([]string, error) {
	text, err := c.Kubectl(ctx, "-n", namespace, "get", "events", "--field-selector", "involvedObject.name="+pod,
		"--sort-by", ".firstTimestamp", "-o", "json")
	if err != nil {
		return nil, err
	}
	list := struct {
		Items []struct{ Reason, Message string }
	}{}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	var events []string
	for _, event := range list.Items {
		events = append(events, event.Reason+": "+event.Message)
	}
	return events, nil
}

// Runs returns a condition for [node.Until]: a pod is shown as running.
func (c *Cluster) Runs(namespace, name string) func(context.Context) error {
	return func(ctx context.Context) error {
		shown, err := c.Show(ctx, namespace, name)
		if err == nil && shown.Status != "Running" {
			err = fmt.Errorf("it is %s: %q", shown.Status, shown.Messages)
		}
		return err
	}
}
