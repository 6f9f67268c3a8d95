package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// question is what is asked of one host after another: what there is of signatures of a manifest.
type question struct {
	fetcher *Fetcher
	session *registry.Session
	// tag is where cosign's old format has signatures, fallback where referrers are listed without their API, and
	// subject is what they refer to.
	tag, fallback reference.NamedTagged
	subject       reference.Canonical
	// known are the digests of what was read in full before, by what was asked for.
	known map[string]digest.Digest
	// afresh has all read again, for what is beside it is another than before.
	afresh bool
	// room is how many bytes may still be kept.
	room int64
}

// look is a [lookFunc]. Hosts are asked in the order of hosts.toml until one has signatures. That there are none is
// for the registry itself to say, which is the last of them; or for all the mirrors where it is not to be asked. A
// lookaside is asked beside them.
func (f *Fetcher) look(
	ctx context.Context, repository reference.Named, manifest digest.Digest, known []source,
) (*finding, error) {
	q, err := newQuestion(repository, manifest, known)
	if err != nil {
		// No registry can have such a tag.
		return &finding{sources: []source{{Reference: repository.Name()}}, detail: err.Error()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.Timeout())
	defer cancel()
	q.fetcher, q.session = f, f.NewSession(ctx, repository)
	defer q.session.Close()
	var answers []*answer
	if beside := q.beside(ctx); beside != nil {
		answers = append(answers, beside)
		// What is read takes the place of all that was read before.
		q.afresh = beside.err == nil && !beside.same
	}
	all, err := q.session.Hosts(ctx, reference.Domain(repository))
	if err != nil {
		err = fmt.Errorf("reading how containerd reaches %s: %w", reference.Domain(repository), err)
		answers = append(answers, &answer{source: source{Reference: repository.Name()}, err: err})
		return conclude(answers)
	}
	return conclude(append(answers, q.ask(ctx, all)...))
}

func newQuestion(repository reference.Named, manifest digest.Digest, known []source) (*question, error) {
	name := reference.TrimNamed(repository)
	list := fmt.Sprintf("%s-%s", manifest.Algorithm(), manifest.Encoded())
	tag, err := reference.WithTag(name, list+".sig")
	if err != nil {
		return nil, errors.New("digests of this length have no signatures' tag")
	}
	fallback, err := reference.WithTag(name, list)
	if err != nil {
		return nil, fmt.Errorf("naming the referrers of %s: %w", manifest, err)
	}
	subject, err := reference.WithDigest(name, manifest)
	if err != nil {
		return nil, fmt.Errorf("naming %s: %w", manifest, err)
	}
	q := &question{tag: tag, fallback: fallback, subject: subject, known: map[string]digest.Digest{}, room: format.MaxTotal}
	for _, s := range known {
		q.known[s.Reference] = s.Digest
	}
	return q, nil
}

// ask returns the answers of the first host that has signatures, or that says for the registry that there are none; or
// an answer that is a failure.
func (q *question) ask(ctx context.Context, all []docker.RegistryHost) []*answer {
	const tags = docker.HostCapabilityPull | docker.HostCapabilityResolve
	const lists = docker.HostCapabilityPull | docker.HostCapabilityReferrers
	var none, failed []*answer
	var asked []string
	for i, host := range all {
		if !host.Capabilities.Has(tags) && !host.Capabilities.Has(lists) {
			continue
		}
		answers := q.askOne(ctx, host, len(all)-i)
		switch {
		case has(answers):
			return answers
		case failures(answers) != nil:
			asked = append(asked, registry.URL(host)+" fails")
			if failed == nil {
				failed = answers
			}
		case isLast(host, all[i+1:]):
			return answers
		default:
			asked = append(asked, registry.URL(host)+" has none")
			none = answers
		}
	}
	switch {
	case failed != nil:
		noteAsked(failed, asked)
		return failed
	case none != nil:
		return none
	default:
		err := fmt.Errorf("fetching %s: hosts.toml names no host to pull from", q.tag)
		return []*answer{{source: source{Reference: q.tag.String()}, err: err}}
	}
}

// noteAsked has a failure say which hosts were asked, in their order, and what came of each.
func noteAsked(failed []*answer, asked []string) {
	if len(asked) < 2 {
		return
	}
	for _, a := range failed {
		if failure, ok := errors.AsType[*registry.FetchError](a.err); ok {
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

// askOne asks one host.
func (q *question) askOne(ctx context.Context, host docker.RegistryHost, left int) (answers []*answer) {
	_ = q.session.Ask(ctx, host, left, func(ctx context.Context, host *registry.Host) error {
		answers = (&placed{question: q, host: host}).ask(ctx)
		return nil
	})
	return answers
}

// ask asks for the digests of what the host has, and reads what is not known; what is known only where something else
// is new, for that takes the place of all.
func (p *placed) ask(ctx context.Context) (answers []*answer) {
	if p.host.Capabilities.Has(docker.HostCapabilityResolve) {
		answers = append(answers, p.peek(ctx, p.tag, p.tagged))
	}
	if len(answers) == 1 && final(answers[0].err) {
		return answers
	}
	answers = append(answers, p.peek(ctx, p.subject, p.referrers))
	if same(answers) && !p.afresh || failures(answers) != nil {
		return answers
	}
	for _, a := range answers {
		p.read(ctx, a)
	}
	return answers
}

// tagged asks for the signatures' tag.
func (p *placed) tagged(ctx context.Context, a *answer) error {
	manifest, err := p.host.ResolveTag(ctx, p.tag)
	if err != nil || manifest.Digest == "" {
		return err
	}
	a.source.Digest = manifest.Digest
	a.read = func(ctx context.Context) error {
		from, err := p.host.Resolver.Fetcher(ctx, p.tag.String())
		if err != nil {
			return err
		}
		raw, err := readManifest(ctx, from, manifest)
		if err != nil {
			return err
		}
		return a.readSignatures(ctx, from, raw, &p.room)
	}
	return nil
}

// readManifest reads the manifest or the index that a tag names.
func readManifest(ctx context.Context, from remotes.Fetcher, of ocispec.Descriptor) ([]byte, error) {
	if of.Size > registry.MaxManifest {
		return nil, fmt.Errorf("its manifest has %d bytes, more than the %d that are read", of.Size, registry.MaxManifest)
	}
	if !images.IsManifestType(of.MediaType) && !images.IsIndexType(of.MediaType) {
		// The fetcher would ask for a blob.
		of.MediaType = ocispec.MediaTypeImageManifest
	}
	raw, err := registry.ReadContent(ctx, from, of)
	if err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	if err := registry.CheckElements(raw); err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	return raw, nil
}
