package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/countersign/countersign/plugin/agent/compile"
	"github.com/countersign/countersign/plugin/agent/write"
)

// Preview asks the node's daemon which running containers of the namespaces documents would refuse. It returns the
// refused ones in words.
type Preview func(ctx context.Context, documents map[string][]byte) (map[string][]string, error)

// Config configures a reconciler. All fields but Preview are required.
type Config struct {
	Writer *write.Writer
	// SystemPolicy returns the node's system policy.
	SystemPolicy func() ([]byte, error)
	Confirm      Confirm
	// Preview is asked before the documents of protected namespaces are changed. Nil: they are written whatever they
	// refuse.
	Preview Preview
	// Protected are namespaces without which the cluster or the agent does not work.
	Protected []string
}

// Reconciler writes the documents of one node. It is for one goroutine.
type Reconciler struct {
	config Config
	held   held
	// compiler and cluster are made from the policies and the system policy of compiled.
	compiler *compile.Compiler
	compiled string
	system   []byte
	cluster  compile.Document
	// documents are those of the namespaces, as they were last compiled.
	documents  map[string]document
	namespaces map[string]Namespace
	// placeholder reports that kube-system has a document only because the directory would be empty otherwise.
	placeholder bool
	// generations are those of the policies that are obeyed.
	generations map[ID]int64
}

// document is a document that was compiled.
type document struct {
	// key is a hash of what the document was made from.
	key string
	// hash is that of the content, or "" if the namespace needs no document.
	hash     string
	problems map[string][]compile.Problem
	// written reports whether this document is the one on disk.
	written bool
}

// New returns a reconciler, which continues where an earlier process has stopped.
func New(config Config) *Reconciler {
	r := &Reconciler{
		config: config, documents: map[string]document{}, namespaces: map[string]Namespace{}, generations: map[ID]int64{},
	}
	origins := map[string][]string{}
	for namespace, written := range config.Writer.Namespaces() {
		origins[namespace] = written.Origin
		if namespace != everywhere {
			r.namespaces[namespace] = Namespace{Namespace: compile.Namespace{Name: namespace}}
		}
	}
	r.held.restore(origins)
	return r
}

// Reconcile writes the documents that the objects require. After an error, each document on disk is the earlier one or
// the required one, and the caller retries.
func (r *Reconciler) Reconcile(ctx context.Context, objects Objects) (Outcome, error) {
	present := objects.present()
	namespaces := map[string]Namespace{}
	for _, namespace := range objects.Namespaces {
		namespaces[namespace.Name] = namespace
	}
	var absent []ID
	for name := range r.namespaces {
		if _, ok := namespaces[name]; !ok {
			absent = append(absent, ID{NamespaceKind, "", name})
		}
	}
	r.held.update(ctx, present, absent, r.config.Confirm)
	for _, id := range absent {
		if _, ok := r.held.absent[id]; ok {
			namespaces[id.Name] = r.namespaces[id.Name]
		}
	}
	p := pass{Reconciler: r, ctx: ctx, current: namespaces, problems: nil}
	p.frozen = r.held.unknown()
	for id := range r.held.absent {
		if id.Kind == NamespaceKind && r.namespaces[id.Name].UID == "" {
			p.frozen[id.Name] = true // Its labels are not known.
		}
	}
	err := p.run()
	return p.outcome(present), err
}

// prepare makes a compiler if the system policy or the policies of the cluster have changed.
func (r *Reconciler) prepare(cluster []ID) error {
	raw, err := r.config.SystemPolicy()
	if err != nil {
		return fmt.Errorf("reading the system policy: %w", err)
	}
	generations := map[ID]int64{}
	for _, id := range cluster {
		generations[id] = r.held.policies[id].generation
	}
	key := Hash(generations) + uids(r.held.policies, cluster)
	if r.compiler != nil && key == r.compiled && bytes.Equal(raw, r.system) {
		return nil
	}
	compiler, err := r.compiler.With(raw, r.held.clusterPolicies(cluster))
	if err != nil {
		return err
	}
	document, err := compiler.Cluster()
	if err != nil {
		return err
	}
	r.compiler, r.cluster, r.compiled, r.system = compiler, document, key, raw
	for name, document := range r.documents {
		document.key = ""
		r.documents[name] = document
	}
	return nil
}

var errFrozen = errors.New("policies of the cluster are missing, and their content is not known")

// run writes documents.
func (p *pass) run() error {
	policies := p.held.byNamespace()
	if p.frozen[everywhere] {
		p.problem(everywhere, heldReason, errFrozen.Error()+": all documents stay as they are")
		return nil
	}
	if err := p.prepare(policies[everywhere]); err != nil {
		p.problem(everywhere, "InvalidSystemPolicy", err.Error()+": all documents stay as they are")
		return err
	}
	p.rewriteMissing()
	p.clusterDocument = write.Document{JSON: p.cluster.JSON, Origin: p.held.origin(policies[everywhere])}
	if p.cluster.JSON == nil && p.config.Writer.Lists(everywhere) {
		p.clusterDocument.JSON = p.system
	}
	if err := p.protect(policies); err != nil {
		return err
	}
	p.stageNamespaces(policies)
	p.neverEmpty()
	return p.apply()
}

// rewriteMissing notes documents to be written that somebody has removed.
func (p *pass) rewriteMissing() {
	missing := p.config.Writer.Missing()
	if p.placeholder {
		missing = append(missing, kubeSystem)
		p.placeholder = false
	}
	for _, name := range missing {
		if document, ok := p.documents[name]; ok {
			document.written = false
			p.documents[name] = document
		}
	}
}
