package evidence

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
	// maxLookasideBytes bounds what is kept of them, in bytes, so that there is room for what the registry has.
	maxLookasideBytes = format.MaxTotal / 2
)

// beside asks the lookaside that registries.d names for the repository; nil: there is nothing there, and never was. It
// has a third of the time that is left.
func (q *question) beside(ctx context.Context) *answer {
	if q.fetcher.lookaside == "" {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/3)
		defer cancel()
	}
	a := &answer{source: source{Reference: q.fetcher.lookaside}}
	at, err := q.lookaside()
	if err != nil {
		a.err = err
		return a
	}
	a.what = "the signatures in the lookaside of " + q.subject.String()
	a.source.Reference, a.source.Host = at.Redacted(), at.Host
	l := &lookaside{question: q, session: q.fetcher.NewSession(ctx, q.subject), base: at}
	defer l.session.Close()
	if err := l.read(ctx, a); err != nil {
		a.err = l.explain(ctx, a.what, err)
	}
	a.compare(q.known)
	if a.source.Digest == "" && a.same && a.err == nil {
		return nil
	}
	return a
}

// lookaside returns where the signatures lie.
func (q *question) lookaside() (*url.URL, error) {
	all, err := readLookasides(q.fetcher.lookaside)
	if err != nil {
		return nil, err
	}
	at, err := all.base(reference.TrimNamed(q.subject))
	if err != nil {
		return nil, err
	}
	of := q.subject.Digest()
	at.Path += fmt.Sprintf("@%s=%s", of.Algorithm(), of.Encoded())
	return at, nil
}

// lookaside is a place beside the registry.
type lookaside struct {
	*question
	session *registry.Session
	base    *url.URL
	client  *http.Client
}

// read reads signature-1, signature-2, … until one is not there. The newest are kept. One that containers/image could
// not read would keep it from reading any: it is left out.
func (l *lookaside) read(ctx context.Context, a *answer) error {
	all := digest.SHA256.Digester()
	var out leftOut
	n := 0
	for ; n < maxLookaside; n++ {
		file, err := l.get(ctx, n+1)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			a.partial = true
			return err
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
		a.add(format.KindSignature, file)
	}
	if n > 0 {
		a.source.Digest = all.Digest()
	}
	read := len(a.files)
	a.files = format.RoomFor(format.KindSignature, maxLookasideBytes).Take(a.files)
	for _, kept := range a.files {
		l.room -= int64(len(kept.Bytes))
	}
	a.detail = out.describe("signatures in the lookaside", read-len(a.files), len(a.files))
	// No digest says what a lookaside should have: it can be the page of a proxy that was served, and may be another at
	// the next try.
	if n > 0 && read == 0 {
		return fmt.Errorf("none of its %d signatures can be read: %w", n, out.first)
	}
	return nil
}

// get reads a file; an error that is [fs.ErrNotExist] says that there is none.
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
