package compile

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

// Namespace is a namespace of the cluster.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// Document is a policy document.
type Document struct {
	// JSON is the document in the format of containers-policy.json(5). It is nil if none is needed: another document
	// says the same.
	JSON []byte
	// Problems describe the parts of policies that are not in force as written, by the name of the policy.
	Problems map[string][]Problem
}

// Compiler makes documents from a system policy and the policies of a cluster. It is safe for concurrent use. Create
// one with [New].
type Compiler struct {
	parser  *signature.Parser
	system  system
	cluster []clusterPolicy
	// document is that of the cluster.
	document []byte
	reads    *reads
	// problems are those of the ClusterImagePolicies.
	problems map[string][]Problem
}

// clusterPolicy is a ClusterImagePolicy that was read.
type clusterPolicy struct {
	compiled
	selector labels.Selector
	// selects: there is a selector, so there may be namespaces in which the policy does not apply.
	selects bool
}

// New reads a system policy, which is the content of a policy.json, and the policies of a cluster. The error is about
// the system policy: a policy of the cluster that cannot be used is a problem in the document.
func New(systemPolicy []byte, policies []v1alpha1.ClusterImagePolicy) (*Compiler, error) {
	return (*Compiler)(nil).With(systemPolicy, policies)
}

// With is like [New], and does not read again the ImagePolicies that the compiler has read, which have a UID.
func (c *Compiler) With(systemPolicy []byte, policies []v1alpha1.ClusterImagePolicy) (*Compiler, error) {
	made := &Compiler{
		parser: signature.NewParser(signature.Kinds(nil)), problems: map[string][]Problem{}, reads: newReads(),
	}
	if c != nil {
		made.reads = c.reads.next()
	}
	if err := made.load(systemPolicy, policies); err != nil {
		return nil, err
	}
	return made, nil
}

func (c *Compiler) load(systemPolicy []byte, policies []v1alpha1.ClusterImagePolicy) error {
	var err error
	if c.system, err = readSystem(systemPolicy, c.parser); err != nil {
		return fmt.Errorf("reading the system policy: %w", err)
	}
	sorted := slices.SortedFunc(slices.Values(policies), func(a, b v1alpha1.ClusterImagePolicy) int {
		return cmp.Compare(a.Name, b.Name)
	})
	for _, policy := range sorted {
		read, problems := c.read(policy.Name, policy.Spec.ImagePolicySpec)
		selector, err := selectorOf(policy.Spec.NamespaceSelector)
		if err != nil {
			// A selector that cannot be read selects every namespace.
			problems = append(problems, Problem{Reason: InvalidSelector, Detail: err.Error()})
		}
		selects := policy.Spec.NamespaceSelector != nil && err == nil
		c.cluster = append(c.cluster, clusterPolicy{read, selector, selects})
		if len(problems) > 0 {
			c.problems[policy.Name] = problems
		}
	}
	if len(c.cluster) > 0 {
		strict := layer{enforced: c.strictest(), audited: c.clusterLayer(c.cluster).audited}
		if c.document, err = c.system.with(c.system.merged(strict, newLayer())); err != nil {
			return err
		}
	}
	return nil
}

func selectorOf(selector *metav1.LabelSelector) (labels.Selector, error) { //nolint:ireturn // It is the library's.
	if selector == nil {
		return labels.Everything(), nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return labels.Everything(), fmt.Errorf("reading namespaceSelector: %w", err)
	}
	return parsed, nil
}

// Cluster returns the document for namespaces without one of their own. Its JSON is nil if there is no
// ClusterImagePolicy: then the system policy governs these namespaces.
func (c *Compiler) Cluster() (Document, error) {
	return Document{JSON: c.document, Problems: c.problems}, nil
}

// Namespace returns the document of a namespace with these policies. Its JSON is nil if the namespace needs none.
func (c *Compiler) Namespace(namespace Namespace, policies []v1alpha1.ImagePolicy) (Document, error) {
	selected := slices.DeleteFunc(slices.Clone(c.cluster), func(p clusterPolicy) bool {
		return !p.selector.Matches(labels.Set(namespace.Labels))
	})
	cluster := c.clusterLayer(selected)
	own, problems := c.namespaceLayer(cluster.enforced, policies)
	document := Document{Problems: problems}
	if own.empty() && len(c.cluster) == 0 {
		return document, nil
	}
	made, err := c.system.with(c.system.merged(cluster, own))
	if err == nil && !bytes.Equal(made, c.document) {
		document.JSON = made
	}
	return document, err
}

// clusterLayer returns the requirements of each scope. Policies with the same scope are all required.
func (c *Compiler) clusterLayer(policies []clusterPolicy) layer {
	all := newLayer()
	for _, policy := range policies {
		all.add(policy.compiled)
	}
	return all
}

// namespaceLayer returns the requirements of each scope of the policies of a namespace that takes effect.
func (c *Compiler) namespaceLayer(
	governed scopes, policies []v1alpha1.ImagePolicy,
) (own layer, problems map[string][]Problem) {
	own, problems = newLayer(), map[string][]Problem{}
	sorted := slices.SortedFunc(slices.Values(policies), func(a, b v1alpha1.ImagePolicy) int {
		return cmp.Compare(a.Name, b.Name)
	})
	for _, policy := range sorted {
		read, found := c.readOnce(policy)
		effective := read
		effective.scopes = nil
		for _, scope := range read.scopes {
			if problem, dropped := c.dropped(scope, governed, read); dropped {
				found = append(found, problem)
				continue
			}
			effective.scopes = append(effective.scopes, scope)
		}
		own.add(effective)
		if len(found) > 0 {
			problems[policy.Name] = found
		}
	}
	return own, problems
}

// dropped reports whether a scope of a namespace's policy has no effect, and why.
func (c *Compiler) dropped(scope string, governed scopes, of compiled) (Problem, bool) {
	lookedUp := policy.ScopesAbove(scope)
	for _, governor := range lookedUp {
		if _, ok := governed[governor]; ok {
			return Problem{
				Reason: ConflictScopes, Scope: scope,
				Detail: fmt.Sprintf("scope %s is governed by the ClusterImagePolicy with the scope %s", scope, governor),
			}, true
		}
	}
	demanded, from := c.system.governing(lookedUp)
	switch {
	case demanded.rejects && from != "":
		return Problem{
			Reason: ConflictScopes, Scope: scope,
			Detail: fmt.Sprintf("scope %s is refused by the node's system policy, by its scope %s", scope, from),
		}, true
	case of.requirement.accepts && !demanded.accepts:
		return Problem{
			Reason: ConflictScopes, Scope: scope,
			Detail: fmt.Sprintf("scope %s would be accepted without a signature, and the node's system policy requires more",
				scope),
		}, true
	default:
		return Problem{}, false
	}
}
