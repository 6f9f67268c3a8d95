package main

import (
	"context"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// takenInventory is what inventory prints. Its JSON is a public interface, to which fields are only added.
type takenInventory struct {
	// Namespaces are those that run containers or have a document; others use the cluster policy or the system policy.
	Namespaces []string          `json:"namespaces"`
	Images     []inventoryImage  `json:"images"`
	Running    []inventoryRunner `json:"running"`
	// Compared reports whether other policies are compared with the configured ones.
	Compared bool `json:"compared"`
}

// inventoryImage is an image under one reference.
type inventoryImage struct {
	Reference string `json:"reference"`
	Config    string `json:"config"`
	// Running is how many containers run it.
	Running  int                `json:"running"`
	Verdicts []inventoryVerdict `json:"verdicts"`
}

// inventoryVerdict is the verdict in some namespaces and, if policies are compared, the verdict by the other ones.
type inventoryVerdict struct {
	daemon.Outcome
	Scope      string          `json:"scope"`
	Detail     string          `json:"detail"`
	Namespaces []string        `json:"namespaces"`
	After      *daemon.Outcome `json:"after,omitempty"`
}

// inventoryRunner is a running container.
type inventoryRunner struct {
	Namespace   string `json:"namespace"`
	Pod         string `json:"pod"`
	Container   string `json:"container"`
	ContainerID string `json:"container_id"`
	Reference   string `json:"reference"`
	Config      string `json:"config"`
	daemon.Outcome
	Detail string          `json:"detail"`
	After  *daemon.Outcome `json:"after,omitempty"`
}

// taking takes an inventory of a node, and compares it with the policies after a change, unless that is nil.
type taking struct {
	view          *nodeView
	before, after *judged
	progress      func(done, total int)
}

func (t *taking) all(ctx context.Context) *takenInventory {
	taken := &takenInventory{
		Namespaces: t.namespaces(), Images: []inventoryImage{}, Running: []inventoryRunner{}, Compared: t.after != nil,
	}
	runs := map[string]int{}
	for _, container := range t.view.running {
		runs[container.config.String()]++
		taken.Running = append(taken.Running, t.runner(ctx, container))
	}
	before := t.before.Inventory(taken.Namespaces)
	var after *policy.Inventory
	if t.after != nil {
		after = t.after.Inventory(taken.Namespaces)
	}
	local := t.view.images.LocalImages()
	for i, image := range local {
		one := inventoryImage{
			Reference: image.Reference.String(), Config: image.Config.String(), Running: runs[image.Config.String()],
		}
		one.Verdicts = compareVerdicts(t.decide(ctx, before, image), t.decide(ctx, after, image))
		taken.Images = append(taken.Images, one)
		t.progress(i+1, len(local))
	}
	return taken
}

// decide returns the verdicts on an image in all namespaces. If only layers identify the image of a container, these
// are the verdicts at its creation: every image with these layers must be accepted.
func (t *taking) decide(ctx context.Context, of *policy.Inventory, image origin.LocalImage) []policy.InventoryVerdict {
	if of == nil {
		return nil
	}
	decide := func(config digest.Digest) []policy.InventoryVerdict { return of.Decide(ctx, image.Reference, config) }
	if t.view.foundBy != policy.FoundByLayers {
		return decide(image.Config)
	}
	configs, err := t.view.images.Alike(ctx, policy.Question{Reference: image.Reference.String(), Config: image.Config})
	if err != nil {
		return []policy.InventoryVerdict{{Verdict: policy.Denial(err), Namespaces: t.namespaces()}}
	}
	return decideAlike(configs, t.namespaces(), decide)
}

// namespaces returns the namespaces that run containers or have a document, before or after the change.
func (t *taking) namespaces() []string {
	all := map[string]bool{}
	for _, container := range t.view.running {
		all[container.Namespace] = true
	}
	for _, one := range []*judged{t.before, t.after} {
		if one != nil {
			for namespace := range one.set.Namespaces {
				all[namespace] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (t *taking) runner(ctx context.Context, container runningContainer) inventoryRunner {
	verdict := t.before.decide(ctx, container)
	told := daemon.VerdictOf(verdict)
	runner := inventoryRunner{
		Namespace: container.Namespace, Pod: container.Pod, Container: container.Name, ContainerID: container.ID,
		Reference: container.Reference, Config: container.config.String(), Outcome: told.Outcome, Detail: told.Detail,
	}
	if t.after != nil {
		after := daemon.VerdictOf(t.after.decide(ctx, container)).Outcome
		runner.After = &after
	}
	return runner
}

// compareVerdicts divides the namespaces of verdicts by the verdicts after a change, if there is one.
func compareVerdicts(before, after []policy.InventoryVerdict) []inventoryVerdict {
	later := map[string]daemon.Outcome{}
	for _, verdict := range after {
		for _, namespace := range verdict.Namespaces {
			later[namespace] = daemon.VerdictOf(verdict.Verdict).Outcome
		}
	}
	verdicts := []inventoryVerdict{}
	for _, verdict := range before {
		told := daemon.VerdictOf(verdict.Verdict)
		one := inventoryVerdict{Outcome: told.Outcome, Scope: told.Scope, Detail: told.Detail}
		if after == nil {
			one.Namespaces = slices.Sorted(slices.Values(verdict.Namespaces))
			verdicts = append(verdicts, one)
			continue
		}
		divided := map[daemon.Outcome][]string{}
		for _, namespace := range verdict.Namespaces {
			divided[later[namespace]] = append(divided[later[namespace]], namespace)
		}
		for outcome, namespaces := range divided {
			part := one
			part.After, part.Namespaces = &outcome, slices.Sorted(slices.Values(namespaces))
			verdicts = append(verdicts, part)
		}
	}
	slices.SortFunc(verdicts, func(a, b inventoryVerdict) int {
		return slices.Compare(a.Namespaces, b.Namespaces)
	})
	return verdicts
}

// policiesExist returns an error unless the policies to compare are there: a wrong path would look like a change that
// denies everything.
func policiesExist(flags policyFlags) error {
	for _, flag := range []struct {
		name, path string
		directory  bool
	}{
		{"--policy-dir", flags.policyDir, true},
		{"--system-policy", flags.systemPolicy, false},
		{"--cluster-policy", flags.clusterPolicy, false},
	} {
		if flag.path == "" {
			continue
		}
		if err := exists(flag.name, flag.path, flag.directory); err != nil {
			return err
		}
	}
	return nil
}
