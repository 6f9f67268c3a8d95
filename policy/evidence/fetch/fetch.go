package fetch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// request is what is asked of one host after another: the evidence of a manifest.
type request struct {
	fetcher *Fetcher
	client  *registry.Client
	session *registry.Session
	// tag names the signatures in cosign's old format, and attestations the attestations. fallback names the list of
	// referrers in a registry without the referrers API, and subject is the descriptor that referrers refer to.
	tag, attestations, fallback reference.NamedTagged
	subject                     reference.Canonical
	// known are the digests of what was read in full before, by what was asked for.
	known map[string]digest.Digest
	// force rereads all sources, because the lookaside has changed.
	force bool
	// room is how many bytes may still be stored of signatures and bundles, and attestationRoom of attestations.
	room, attestationRoom int64
	// predicates are the predicate types of the attestations that are read.
	predicates []string
	// lookasideNote names the lookaside that was asked, or is empty if that is unknown.
	lookasideNote string
	wanted        *Wanted
}

// Request asks for the evidence of a manifest in a repository.
type Request struct {
	Repository reference.Named
	Manifest   digest.Digest
	// Known are the sources that were found when they were last read in full. While they are the same, nothing is read.
	Known []format.SourceState
	// Credentials are those of the request, which are tried before the node's; or nil.
	Credentials registry.CredentialFunc
	// Wanted selects evidence beyond the limits; nil: no caller waits.
	Wanted *Wanted
	// Predicates are the predicate types of the attestations that are read. Others are not.
	Predicates []string
}

// Fetch fetches evidence. Hosts are asked in the order of hosts.toml until one has some. That there is none takes the
// registry itself, which is the last of them; or all the mirrors where it is not to be asked. A lookaside is asked in
// addition to them. An error is a failure to find out, and one line.
func (f *Fetcher) Fetch(ctx context.Context, of Request) (*Result, error) {
	q, err := newRequest(of)
	if err != nil {
		// No registry can have such a tag.
		return &Result{
			Sources: []format.SourceState{{Reference: of.Repository.Name()}}, Detail: err.Error(),
			Predicates: of.Predicates,
		}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.Timeout())
	defer cancel()
	q.fetcher, q.client, q.wanted = f, f.Client, of.Wanted
	if of.Credentials != nil {
		q.client = f.WithCredentials(of.Credentials)
	}
	q.session = q.client.NewSession(ctx, of.Repository)
	defer q.session.Close()
	return q.fetch(ctx)
}

// fetch asks the lookaside, and then the hosts of the registry.
func (q *request) fetch(ctx context.Context) (*Result, error) {
	var results []*sourceResult
	if next := q.fetchLookaside(ctx); next != nil {
		results = append(results, next)
		// What is read takes the place of all that was read before.
		q.force = next.err == nil && !next.unchanged
	}
	for _, next := range q.fetchElsewhere(ctx) {
		results = append(results, next)
		q.force = q.force || next.err == nil && !next.unchanged
	}
	domain := reference.Domain(q.subject)
	all, err := q.session.Hosts(ctx, domain)
	if err != nil {
		err = fmt.Errorf("reading how containerd reaches %s: %w", domain, err)
		state := format.SourceState{Reference: q.subject.Name()}
		return combine(append(results, &sourceResult{state: state, err: err}))
	}
	result, err := combine(append(results, q.ask(ctx, all)...))
	if err != nil {
		return nil, err
	}
	result.Lookaside, result.Predicates = q.lookasideNote, q.predicates
	return result, nil
}

func newRequest(of Request) (*request, error) {
	manifest := of.Manifest
	name := reference.TrimNamed(of.Repository)
	list := fmt.Sprintf("%s-%s", manifest.Algorithm(), manifest.Encoded())
	tag, err := reference.WithTag(name, list+".sig")
	if err != nil {
		return nil, errors.New("digests of this length have no signatures' tag")
	}
	attestations, err := reference.WithTag(name, list+".att")
	if err != nil {
		return nil, fmt.Errorf("naming the attestations of %s: %w", manifest, err)
	}
	fallback, err := reference.WithTag(name, list)
	if err != nil {
		return nil, fmt.Errorf("naming the referrers of %s: %w", manifest, err)
	}
	subject, err := reference.WithDigest(name, manifest)
	if err != nil {
		return nil, fmt.Errorf("naming %s: %w", manifest, err)
	}
	q := &request{
		tag: tag, attestations: attestations, fallback: fallback, subject: subject, known: map[string]digest.Digest{},
		predicates: of.Predicates,
	}
	q.room, q.attestationRoom = format.MaxTotal, format.MaxTotal
	for _, s := range of.Known {
		q.known[s.Reference] = s.Digest
	}
	return q, nil
}

// ask returns the results of the first host that has signatures or, as the authority for the registry, answers that
// there are none. If there is no such host, it returns the failure.
func (q *request) ask(ctx context.Context, all []docker.RegistryHost) []*sourceResult {
	const tags = docker.HostCapabilityPull | docker.HostCapabilityResolve
	const lists = docker.HostCapabilityPull | docker.HostCapabilityReferrers
	var none, failed []*sourceResult
	var asked []string
	for i, host := range all {
		if !host.Capabilities.Has(tags) && !host.Capabilities.Has(lists) {
			continue
		}
		results := q.askOne(ctx, host, len(all)-i)
		switch {
		case has(results):
			return results
		case failures(results) != nil:
			asked = append(asked, registry.URL(host)+" fails")
			if failed == nil {
				failed = results
			}
		case isLast(host, all[i+1:]):
			return results
		default:
			asked = append(asked, registry.URL(host)+" has none")
			none = results
		}
	}
	switch {
	case failed != nil:
		noteAsked(failed, asked)
		return failed
	case none != nil:
		return none
	default:
		err := fmt.Errorf("fetching %s: hosts.toml has no host with the required capabilities", q.tag)
		return []*sourceResult{{state: format.SourceState{Reference: q.tag.String()}, err: err}}
	}
}

// noteAsked has a failure say which hosts were asked, in their order, and what came of each.
func noteAsked(failed []*sourceResult, asked []string) {
	if len(asked) < 2 {
		return
	}
	for _, r := range failed {
		if failure, ok := errors.AsType[*registry.FetchError](r.err); ok {
			failure.Note = joinTexts("; ", failure.Note, "asked in this order: "+strings.Join(asked, ", "))
			return
		}
	}
}

// joinTexts joins the texts that are not empty.
func joinTexts(separator string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), separator)
}

// isLast reports whether a host is the last to be asked: no other comes after it. It is common to give the registry
// itself a section, with its certificates say, in a file that names it as the server too. As the last of the hosts it
// would be asked again, without the certificates, and that failure would stand for the answer it gave.
func isLast(host docker.RegistryHost, after []docker.RegistryHost) bool {
	return !slices.ContainsFunc(after, func(other docker.RegistryHost) bool {
		return other.Scheme != host.Scheme || other.Host != host.Host || other.Path != host.Path
	})
}
