package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/reconcile"
)

// Times of the lease. They are long: nothing but statuses waits for a new leader.
const (
	leaseDuration = 30 * time.Second
	renewDeadline = 20 * time.Second
	retryPeriod   = 5 * time.Second
	// sumInterval is how often the statuses of nodes are summed up.
	sumInterval = 10 * time.Second
	// pageSize is how many statuses of nodes the API server sends at once.
	pageSize = 500
)

// Leader sums up the statuses of nodes in the statuses of policies while it holds the lease.
type Leader struct {
	lock   resourcelock.Interface
	reader client.Reader
	status client.SubResourceWriter
	// objects returns the policies.
	objects func(context.Context) (reconcile.Objects, error)
	log     *slog.Logger

	mutex   sync.Mutex // Guards the following fields.
	history History
	outcome reconcile.Outcome
}

// LeaderConfig configures a [Leader].
type LeaderConfig struct {
	Lock    resourcelock.Interface
	Client  client.Client
	Reader  client.Reader
	Objects func(context.Context) (reconcile.Objects, error)
	Log     *slog.Logger
}

// NewLeader returns a candidate.
func NewLeader(c LeaderConfig) *Leader {
	return &Leader{lock: c.Lock, reader: c.Reader, status: c.Client.Status(), objects: c.Objects, log: c.Log}
}

// Set takes what this node has made of the policies. Every candidate knows their history.
func (l *Leader) Set(outcome reconcile.Outcome) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.history.Observe(outcome.Current)
	l.outcome = outcome
}

// NeedLeaderElection reports that every agent is a candidate. The process goes on when it loses the lease.
func (l *Leader) NeedLeaderElection() bool { return false }

// Start is a candidate until the context ends.
func (l *Leader) Start(ctx context.Context) error {
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: l.lock, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
			ReleaseOnCancel: true, Name: l.lock.Describe(),
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: l.lead, OnStoppedLeading: func() {}},
		})
		if err != nil {
			return fmt.Errorf("taking part in the leader election: %w", err)
		}
		elector.Run(ctx)
	}
	return nil
}

// lead sums up until the context ends, which it does when the lease is lost.
func (l *Leader) lead(ctx context.Context) {
	l.log.InfoContext(ctx, "this agent writes the statuses of policies")
	for {
		if err := l.sum(ctx); err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "some statuses of policies could not be written", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(sumInterval):
		}
	}
}

// sum writes the statuses that have changed. A policy that is newer than what this node has obeyed waits.
func (l *Leader) sum(ctx context.Context) error {
	objects, err := l.objects(ctx)
	if err != nil {
		return err
	}
	nodes, err := l.nodes(ctx)
	if err != nil {
		return err
	}
	l.mutex.Lock()
	counts, outcome := l.history.Count(nodes), l.outcome
	l.mutex.Unlock()
	for i := range objects.Cluster {
		known := &objects.Cluster[i]
		id := reconcile.ID{Kind: reconcile.ClusterKind, Name: known.Name}
		if count, ok := counts[id]; ok {
			policy := known.DeepCopy()
			policy.Status = PolicyStatus(policy.Status, policy.Generation, count, outcome.Policies[id])
			err = errors.Join(err, l.patch(ctx, policy, known))
		}
	}
	for i := range objects.Policies {
		known := &objects.Policies[i]
		id := reconcile.ID{Kind: reconcile.PolicyKind, Namespace: known.Namespace, Name: known.Name}
		if count, ok := counts[id]; ok {
			policy := known.DeepCopy()
			policy.Status = PolicyStatus(policy.Status, policy.Generation, count, outcome.Policies[id])
			err = errors.Join(err, l.patch(ctx, policy, known))
		}
	}
	return err
}

// nodes returns the statuses of all nodes.
func (l *Leader) nodes(ctx context.Context) (all []v1alpha1.NodePolicyStatus, err error) {
	var list v1alpha1.NodePolicyStatusList
	for {
		if err := l.reader.List(ctx, &list, client.Limit(pageSize), client.Continue(list.Continue)); err != nil {
			return nil, fmt.Errorf("listing the statuses of nodes: %w", err)
		}
		all = append(all, list.Items...)
		if list.Continue == "" {
			return all, nil
		}
		list = v1alpha1.NodePolicyStatusList{ListMeta: metav1.ListMeta{Continue: list.Continue}}
	}
}

func (l *Leader) patch(ctx context.Context, policy, known client.Object) error {
	if equality.Semantic.DeepEqual(policy, known) {
		return nil
	}
	if err := l.status.Patch(ctx, policy, client.MergeFrom(known)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of policy %s/%s: %w", policy.GetNamespace(), policy.GetName(), err)
	}
	return nil
}
