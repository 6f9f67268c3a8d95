package report

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/reconcile"
	"github.com/countersign/countersign/policy/text"
)

// interval is the minimum time between two writes of a node's status. A random part of the same length is added, so
// that the nodes of a cluster do not all write at the same moment.
const interval = 10 * time.Second

// Limits of a node's status, which are those of its CRD.
const (
	maxBehind   = 64
	maxProblems = 16
	maxMessage  = 500
)

// Node writes the status of this node.
type Node struct {
	name string
	// api reads from the API server, and writes.
	reader client.Reader
	writer client.Writer
	log    *slog.Logger

	mutex   sync.Mutex // Guards the next field.
	outcome *reconcile.Outcome
	written *v1alpha1.NodePolicyReport
}

// NewNode returns a Node that writes the status of the node with that name.
func NewNode(name string, reader client.Reader, writer client.Writer, log *slog.Logger) *Node {
	return &Node{name: name, reader: reader, writer: writer, log: log}
}

// Set sets what the next status says.
func (n *Node) Set(outcome reconcile.Outcome) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.outcome = &outcome
}

// Start writes statuses until the context ends.
func (n *Node) Start(ctx context.Context) error {
	for pause := time.Second; ; pause = interval + rand.N(interval) {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		n.mutex.Lock()
		outcome := n.outcome
		n.mutex.Unlock()
		if outcome == nil {
			continue
		}
		if err := n.write(ctx, Status(*outcome)); err != nil && ctx.Err() == nil {
			n.log.WarnContext(ctx, "the status of this node could not be written", "error", err)
		}
	}
}

// NeedLeaderElection reports that every agent runs it.
func (n *Node) NeedLeaderElection() bool { return false }

func (n *Node) write(ctx context.Context, status v1alpha1.NodePolicyReport) error {
	if n.written != nil && equality.Semantic.DeepEqual(*n.written, status) {
		return nil
	}
	object := &v1alpha1.NodePolicyStatus{}
	err := n.reader.Get(ctx, client.ObjectKey{Name: n.name}, object)
	switch {
	case apierrors.IsNotFound(err):
		object = &v1alpha1.NodePolicyStatus{ObjectMeta: metav1.ObjectMeta{
			Name: n.name, OwnerReferences: n.owner(ctx),
		}, Status: status}
		err = n.writer.Create(ctx, object)
	case err == nil:
		object.Status = status
		err = n.writer.Update(ctx, object)
	}
	if err != nil {
		return err
	}
	n.written = &status
	return nil
}

// owner returns the node, together with which its status is deleted.
func (n *Node) owner(ctx context.Context) []metav1.OwnerReference {
	node := &metav1.PartialObjectMetadata{}
	node.SetGroupVersionKind(nodeKind())
	if err := n.reader.Get(ctx, client.ObjectKey{Name: n.name}, node); err != nil {
		return nil // The status has no owner then, and somebody deletes it by hand.
	}
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: n.name, UID: node.UID}}
}

// Status returns the status of a node.
func Status(o reconcile.Outcome) v1alpha1.NodePolicyReport {
	status := v1alpha1.NodePolicyReport{
		Policies: reconcile.Hash(o.Obeyed), Documents: int32(o.Documents), //nolint:gosec // It is a number of files.
		ProblemCount: int32(len(o.Problems)), //nolint:gosec // As above.
	}
	for _, problem := range o.Problems[:min(len(o.Problems), maxProblems)] {
		status.Problems = append(status.Problems, v1alpha1.NodePolicyProblem{
			Namespace: problem.Namespace, Reason: problem.Reason, Message: text.Shorten(problem.Message, maxMessage),
		})
	}
	for id, generation := range o.Current {
		if o.Obeyed[id] != generation {
			status.Behind = append(status.Behind,
				v1alpha1.PolicyGeneration{Namespace: id.Namespace, Name: id.Name, Generation: o.Obeyed[id]})
		}
	}
	slices.SortFunc(status.Behind, func(a, b v1alpha1.PolicyGeneration) int {
		return compareNames(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	if status.Truncated = len(status.Behind) > maxBehind; status.Truncated {
		status.Behind = status.Behind[:maxBehind]
	}
	return status
}
