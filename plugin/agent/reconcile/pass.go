package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/compile"
	"github.com/countersign/countersign/plugin/agent/write"
)

// pass is one run over all objects.
type pass struct {
	*Reconciler

	ctx context.Context //nolint:containedctx // A pass is one call.
	// current are the namespaces that are there or held.
	current map[string]Namespace
	// frozen are the namespaces whose documents stay as they are. The empty name is the cluster's: all stay.
	frozen map[string]bool
	// pinned are the documents of protected namespaces that would refuse what runs there.
	pinned          map[string]write.Document
	clusterDocument write.Document
	// staged are the namespaces whose documents are being written.
	staged   []string
	removals map[string]write.Document
	problems []Problem
}

// byNamespace returns the policies of each namespace, in order. Those of the cluster have no namespace.
func (h *held) byNamespace() map[string][]ID {
	all := map[string][]ID{}
	for id := range h.policies {
		all[id.Namespace] = append(all[id.Namespace], id)
	}
	for _, ids := range all {
		slices.SortFunc(ids, compareIDs)
	}
	return all
}

func (h *held) clusterPolicies(ids []ID) []v1alpha1.ClusterImagePolicy {
	all := make([]v1alpha1.ClusterImagePolicy, 0, len(ids))
	for _, id := range ids {
		if policy := h.policies[id].cluster; policy != nil {
			all = append(all, *policy)
		}
	}
	return all
}

func (h *held) imagePolicies(ids []ID) []v1alpha1.ImagePolicy {
	all := make([]v1alpha1.ImagePolicy, 0, len(ids))
	for _, id := range ids {
		if policy := h.policies[id].policy; policy != nil {
			all = append(all, *policy)
		}
	}
	return all
}

func uids(policies map[ID]obeyed, ids []ID) string {
	hash := sha256.New()
	for _, id := range ids {
		fmt.Fprintf(hash, "%s %s %d %s\n", id.Name, policies[id].uid, policies[id].generation, policies[id].crd)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// stageNamespaces compiles the documents of namespaces, which are written meanwhile, and put in place by apply.
func (p *pass) stageNamespaces(policies map[string][]ID) {
	p.staged, p.removals = nil, map[string]write.Document{}
	for _, name := range slices.Sorted(maps.Keys(p.current)) {
		if p.frozen[name] {
			p.problem(name, heldReason, "a policy or the namespace is not there, and not confirmed to be deleted, and it is "+
				"not known what it said: the document stays as it is")
			continue
		}
		if err := p.compileNamespace(p.current[name], policies[name]); err != nil {
			p.problem(name, "NotCompiled", err.Error())
			continue
		}
	}
	for name := range p.namespaces {
		if _, ok := p.current[name]; !ok {
			p.removals[name] = write.Document{}
			delete(p.documents, name)
		}
	}
	p.namespaces = p.current
}

// compileNamespace compiles a document and has it written, if what it is made from has changed.
func (p *pass) compileNamespace(namespace Namespace, policies []ID) error {
	known := p.documents[namespace.Name]
	key := string(namespace.UID) + labels.Set(namespace.Labels).String() + uids(p.held.policies, policies)
	pinned, isPinned := p.pinned[namespace.Name]
	if known.key == key && known.written && !isPinned {
		return nil
	}
	made, err := p.compiler.Namespace(namespace.Namespace, p.held.imagePolicies(policies))
	if err != nil {
		return err
	}
	document := write.Document{JSON: made.JSON, Origin: p.held.origin(policies)}
	if isPinned {
		document.JSON, key = pinned.JSON, "" // The next pass asks again.
	}
	p.documents[namespace.Name] = documentOf(key, document, made.Problems)
	if document.JSON == nil {
		p.removals[namespace.Name] = write.Document{}
		return nil
	}
	p.stage(namespace.Name, document)
	return nil
}

func documentOf(key string, d write.Document, problems map[string][]compile.Problem) document {
	made := document{key: key, problems: problems}
	if d.JSON != nil {
		made.hash = write.Hash(d.JSON)
	}
	return made
}

func (p *pass) stage(namespace string, document write.Document) {
	p.config.Writer.Stage(namespace, document)
	p.staged = append(p.staged, namespace)
}

// apply puts in place what is staged, and then the cluster's document, and removes what is to be removed.
func (p *pass) apply() error {
	conflicts, err := p.config.Writer.Apply(write.Change{Namespaces: p.removals, Cluster: &p.clusterDocument})
	if err != nil {
		p.problem(everywhere, "NotWritten", err.Error())
		return err
	}
	for _, name := range slices.Concat(p.staged, slices.Collect(maps.Keys(p.removals))) {
		if document, ok := p.documents[name]; ok {
			document.written = true
			p.documents[name] = document
		}
	}
	for _, conflict := range conflicts {
		p.problem(conflict.Namespace, "Conflict", conflict.Path+" was written by somebody else and stays as it is")
		if document, ok := p.documents[conflict.Namespace]; ok {
			document.written = false
			p.documents[conflict.Namespace] = document
		}
	}
	return nil
}

// neverEmpty gives kube-system a document if otherwise the directory would be emptied.
func (p *pass) neverEmpty() {
	written := p.config.Writer.Listed()
	needed := len(p.frozen) > 0
	for _, document := range p.documents {
		needed = needed || document.hash != ""
	}
	if needed || written == 0 {
		return
	}
	document := write.Document{JSON: p.cluster.JSON}
	if document.JSON == nil {
		document.JSON = p.system
	}
	delete(p.removals, kubeSystem)
	p.stage(kubeSystem, document)
	p.placeholder = true
}
