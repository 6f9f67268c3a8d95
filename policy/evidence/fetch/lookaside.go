package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/internal/bounded"
	"github.com/countersign/countersign/policy/registry"
)

const (
	// maxLookaside is how many signatures of a lookaside are read: containers/image takes more for a fault.
	maxLookaside = 128
	// maxLookasideBytes limits what is stored of them, in bytes, so that there is room for what the registry has.
	maxLookasideBytes = format.MaxTotal / 2
)

// fetchLookaside reads the lookaside that registries.d names for the repository; nil: there is nothing there, and never
// was. It has a third of the time that is left.
func (q *request) fetchLookaside(ctx context.Context) *sourceResult {
	if q.fetcher.lookaside == "" {
		q.lookasideNote = "no lookaside is configured ([registry] lookaside)"
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/3)
		defer cancel()
	}
	at, err := q.lookaside()
	if err != nil {
		return &sourceResult{state: format.SourceState{Reference: q.fetcher.lookaside}, err: err}
	}
	l := &lookaside{request: q, session: q.client.NewSession(ctx, q.subject), base: at}
	defer l.session.Close()
	r := &sourceResult{source: l, state: format.SourceState{Reference: l.Reference(), Host: at.Host}, read: true}
	if r.state.Digest, err = l.Head(ctx); err == nil {
		err = l.Read(ctx, &r.Content)
	} else {
		// What was read before the error counts.
		r.Content = l.content
	}
	if err != nil {
		r.err = l.explain(ctx, l.Description(), err)
	}
	r.compare(q.known)
	if r.state.Digest == "" && r.unchanged && r.err == nil {
		return nil
	}
	return r
}

// lookaside returns where the signatures are.
func (q *request) lookaside() (*url.URL, error) {
	all, err := readLookasides(q.fetcher.lookaside)
	if err != nil {
		return nil, err
	}
	at, byDefault, err := all.base(reference.TrimNamed(q.subject))
	if err != nil {
		return nil, err
	}
	of := q.subject.Digest()
	at.Path += fmt.Sprintf("@%s=%s", of.Algorithm(), of.Encoded())
	q.lookasideNote = "the lookaside that was asked is " + at.Redacted()
	if byDefault {
		q.lookasideNote += fmt.Sprintf(", the default: %s names none for the repository", q.fetcher.lookaside)
	}
	return at, nil
}

// lookaside is a directory of signatures next to the registry, which has no digests: Head reads it in full.
type lookaside struct {
	*request
	session *registry.Session
	base    *url.URL
	client  *http.Client
	content Content
}

// Reference implements [Source].
func (l *lookaside) Reference() string { return l.base.Redacted() }

// Description implements [Source].
func (l *lookaside) Description() string {
	return "the signatures in the lookaside of " + l.subject.String()
}

// Read implements [Source].
func (l *lookaside) Read(_ context.Context, into *Content) error {
	*into = l.content
	return nil
}

// Head implements [Source]: it reads signature-1, signature-2, … until one is not there.
// The newest are stored. One that containers/image could not read would keep it from reading any: it is left out.
func (l *lookaside) Head(ctx context.Context) (id digest.Digest, err error) {
	content := &l.content
	all := digest.SHA256.Digester()
	var out leftOut
	n := 0
	for ; n < maxLookaside; n++ {
		file, err := l.get(ctx, n+1)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			content.Partial = true
			return "", err
		}
		_, _ = fmt.Fprintf(all.Hash(), "%d\n", len(file))
		_, _ = all.Hash().Write(file)
		signature, err := format.ParseSignature(file)
		if err == nil {
			file, err = signature.File()
		}
		if err != nil {
			out.add(&registry.ContentError{Problem: fmt.Sprintf("signature-%d: %v", n+1, err), Permanent: true})
			continue
		}
		content.add(format.KindSignature, file)
	}
	if n > 0 {
		id = all.Digest()
	}
	read := len(content.Files)
	content.Files = format.RoomFor(format.KindSignature, maxLookasideBytes).Take(content.Files)
	for _, kept := range content.Files {
		l.room -= int64(len(kept.Bytes))
	}
	content.Detail = out.describe("signatures in the lookaside", read-len(content.Files), len(content.Files))
	// A lookaside has no digests: the response may have been the page of a proxy, and another one may come at the next
	// fetch.
	if n > 0 && read == 0 {
		return id, fmt.Errorf("none of its %d signatures can be read: %w", n, out.first)
	}
	return id, nil
}

// get reads a file; the error is [fs.ErrNotExist] if there is none.
func (l *lookaside) get(ctx context.Context, n int) ([]byte, error) {
	at := *l.base
	at.Path += fmt.Sprintf("/signature-%d", n)
	if at.Scheme == "file" {
		return bounded.ReadFile(at.Path, format.MaxSignatureFile)
	}
	if l.client == nil {
		if err := l.connect(ctx); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking for a signature: %w", err)
	}
	request.Header.Set("User-Agent", registry.UserAgent)
	response, err := l.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return io.ReadAll(response.Body)
	case http.StatusNotFound:
		return nil, fs.ErrNotExist
	default:
		return nil, &registry.StatusError{Status: response.StatusCode}
	}
}

// connect makes a client, with the certificates that hosts.toml has for the host.
func (l *lookaside) connect(ctx context.Context) error {
	hosts, err := l.session.Hosts(ctx, l.base.Host)
	if err != nil || len(hosts) == 0 {
		return errors.Join(fmt.Errorf("reading how %s is reached", l.base.Host), err)
	}
	l.session.Begin(docker.RegistryHost{Host: l.base.Host})
	l.client = hosts[len(hosts)-1].Client
	return nil
}

// explain returns an error as an operator wants to read it.
func (l *lookaside) explain(ctx context.Context, what string, err error) error {
	e := &registry.FetchError{What: what, Host: l.base.Host, Cause: err}
	if e.Host == "" {
		e.Host = l.base.Path
	}
	var path *fs.PathError
	switch {
	case ctx.Err() != nil:
		e.Problem = "no answer within the time that a fetch may take"
	case errors.As(err, &path):
		e.Problem = path.Err.Error()
	default:
		e.Problem = registry.Plain(err)
	}
	return e
}
