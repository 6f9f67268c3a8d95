package fetch

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// hostRequest is a request to one host.
type hostRequest struct {
	*request
	host *registry.Host
}

func (h *hostRequest) canResolve() bool { return h.host.Capabilities.Has(docker.HostCapabilityResolve) }

// askOne asks one host. If it denies access, the session tries other credentials; what was found before is returned
// unless they find something too.
func (q *request) askOne(ctx context.Context, host docker.RegistryHost, left int) (results []*sourceResult) {
	room, attestationRoom := q.room, q.attestationRoom
	_ = q.session.Ask(ctx, host, left, func(ctx context.Context, host *registry.Host) error {
		q.room, q.attestationRoom = room, attestationRoom
		next := (&hostRequest{request: q, host: host}).ask(ctx)
		if !has(results) || has(next) {
			results = next
		}
		return failures(next)
	})
	return results
}

// ask asks each source of the host for the digest of what it has, and reads what has changed. If nothing has changed,
// it reads nothing. Otherwise it reads every source, because the result replaces all that was stored.
func (h *hostRequest) ask(ctx context.Context) (results []*sourceResult) {
	for _, source := range h.sources() {
		result := h.head(ctx, source)
		results = append(results, result)
		if final(result.err) {
			return results
		}
	}
	if same(results) && !h.force || failures(results) != nil {
		return results
	}
	for _, result := range results {
		h.read(ctx, result)
	}
	return results
}

// head asks a source what it has, and reads it if it is new, by half of the time that is left: the other half is for
// the other sources.
func (h *hostRequest) head(ctx context.Context, source Source) *sourceResult {
	ctx, cancel := half(ctx)
	defer cancel()
	r := &sourceResult{
		source: source, state: format.SourceState{Reference: source.Reference(), Host: h.host.Host},
	}
	id, err := source.Head(ctx)
	if err != nil {
		r.err = h.explain(ctx, source.Description(), err)
		return r
	}
	r.state.Digest = id
	r.compare(h.known)
	if !r.unchanged {
		h.read(ctx, r)
	}
	return r
}

// read reads a source once, and records an error.
func (h *hostRequest) read(ctx context.Context, r *sourceResult) {
	if r.read || r.err != nil || r.state.Digest == "" {
		return
	}
	r.read = true
	if err := r.source.Read(ctx, &r.Content); err != nil {
		r.err = h.explain(ctx, r.source.Description(), err)
	}
}

// explain returns an error as an operator wants to read it.
func (h *hostRequest) explain(ctx context.Context, what string, err error) error {
	explained := h.host.Explain(ctx, what, err)
	if unfinished, ok := errors.AsType[*UnfinishedError](err); ok && !explained.Final {
		explained.Problem = unfinished.Error()
	}
	return explained
}

// final reports whether a host need not be asked anything else.
func final(err error) bool {
	failed, ok := errors.AsType[*registry.FetchError](err)
	return ok && failed.Final
}

// compare compares what there is with what was read before.
func (r *sourceResult) compare(known map[string]digest.Digest) {
	before := known[r.state.Reference]
	r.unchanged = r.err == nil && before == r.state.Digest
	r.removed = r.err == nil && before != "" && r.state.Digest == ""
}

// half returns a context with half of the time that is left.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}
