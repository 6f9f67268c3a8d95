package reconcile

import (
	"fmt"
	"maps"
	"slices"

	"github.com/countersign/countersign/plugin/agent/compile"
)

// Reasons of problems.
const (
	// SelfLockout: the document of a protected namespace stays as it was, because the new one would refuse what runs.
	SelfLockout = "SelfLockout"
	// heldReason: an object is held.
	heldReason = "Held"
	// notPreviewed: the daemon did not say what documents would refuse, and they were written.
	notPreviewed = "NotPreviewed"
)

// Problem is a reason why a document differs from what the policies require.
type Problem struct {
	// Namespace is that of the document. It is empty for the cluster's document, and for what concerns all documents.
	Namespace, Reason, Message string
}

// Outcome is what became of the objects.
type Outcome struct {
	// Current are the generations of the policies that are there.
	Current map[ID]int64
	// Obeyed are those of them, or earlier ones, that documents on disk were made from.
	Obeyed map[ID]int64
	// Policies are what is not in force as policies say it.
	Policies map[ID][]compile.Problem
	// Problems are about documents.
	Problems []Problem
	// Documents is the number of documents on disk.
	Documents int
}

func (p *pass) problem(namespace, reason, message string) {
	p.problems = append(p.problems, Problem{namespace, reason, message})
}

// outcome is called after everything is written, or after an error.
func (p *pass) outcome(present map[ID]obeyed) Outcome {
	o := Outcome{Current: map[ID]int64{}, Documents: p.config.Writer.Listed(), Policies: p.policyProblems()}
	wrong := p.wrong()
	for id, policy := range present {
		o.Current[id] = policy.generation
		_, known := p.namespaces[id.Namespace]
		if id.Kind == ClusterKind {
			known = len(wrong) == 0
		}
		if known && !wrong[id.Namespace] && !wrong[everywhere] {
			p.generations[id] = policy.generation
		}
	}
	maps.DeleteFunc(p.generations, func(id ID, _ int64) bool { _, ok := present[id]; return !ok })
	o.Obeyed = maps.Clone(p.generations)
	for _, id := range slices.SortedFunc(maps.Keys(p.held.absent), compareIDs) {
		p.problem(id.Namespace, heldReason,
			fmt.Sprintf("%s %s is not in the agent's cache: %s", id.Kind, id.Name, p.held.absent[id]))
	}
	o.Problems = p.problems
	return o
}

// wrong returns the namespaces whose documents differ from what the policies require.
func (p *pass) wrong() map[string]bool {
	wrong := maps.Clone(p.frozen)
	for _, problem := range p.problems {
		if problem.Reason != notPreviewed {
			wrong[problem.Namespace] = true
		}
	}
	return wrong
}

// policyProblems returns what is not in force as policies say it.
func (p *pass) policyProblems() map[ID][]compile.Problem {
	all := map[ID][]compile.Problem{}
	for name, problems := range p.cluster.Problems {
		all[ID{ClusterKind, "", name}] = problems
	}
	for namespace, document := range p.documents {
		for name, problems := range document.problems {
			all[ID{PolicyKind, namespace, name}] = problems
		}
	}
	return all
}
