package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	containerdreference "github.com/containerd/containerd/v2/pkg/reference"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Host is one host of a registry: the registry itself or a mirror of it.
type Host struct {
	docker.RegistryHost
	// Resolver is restricted to this host.
	Resolver remotes.Resolver

	session *Session
}

// ResolveTag requests the descriptor of a tag, with a HEAD. If the host answers that there is none, the descriptor has
// no digest.
func (h *Host) ResolveTag(ctx context.Context, tag reference.NamedTagged) (ocispec.Descriptor, error) {
	_, found, err := h.Resolver.Resolve(ctx, tag.String())
	if errdefs.IsNotFound(err) && h.session.saidNotFound() {
		return ocispec.Descriptor{}, nil
	}
	return found, err
}

// Explain converts an error for operators.
func (h *Host) Explain(ctx context.Context, what string, err error) *FetchError {
	return h.session.Explain(ctx, what, h.RegistryHost, err)
}

// Endpoint returns the URL of a part of the API of a repository. A mirror gets the name of the registry, as from
// containerd.
func (h *Host) Endpoint(repository reference.Named, parts ...string) *url.URL {
	at := &url.URL{
		Scheme: h.Scheme, Host: h.Host,
		Path: path.Join(append([]string{"/", h.Path, reference.Path(repository)}, parts...)...),
	}
	domain := reference.Domain(repository)
	if h.Host != domain && (domain != "docker.io" || h.Host != "registry-1.docker.io") {
		at.RawQuery = url.Values{"ns": {domain}}.Encode()
	}
	return at
}

// Get requests what containerd's resolver has no method for, with the same credentials. It authorizes for the
// repository.
func (h *Host) Get(
	ctx context.Context, repository reference.Named, at *url.URL, accept string,
) (*http.Response, error) {
	spec, err := containerdreference.Parse(repository.String())
	if err != nil {
		return nil, fmt.Errorf("adding the repository's scope: %w", err)
	}
	if ctx, err = docker.ContextWithRepositoryScope(ctx, spec, false); err != nil {
		return nil, fmt.Errorf("adding the repository's scope: %w", err)
	}
	var answers []*http.Response
	for {
		response, err := h.try(ctx, at, accept)
		if err != nil {
			return nil, err
		}
		if response.StatusCode != http.StatusUnauthorized || h.Authorizer == nil || len(answers) > 1 {
			return response, nil
		}
		answers = append(answers, response)
		if err := errors.Join(h.Authorizer.AddResponses(ctx, answers), response.Body.Close()); err != nil {
			return nil, &StatusError{Status: response.StatusCode, Cause: err}
		}
	}
}

// try makes the request once, with the current authorization.
func (h *Host) try(ctx context.Context, at *url.URL, accept string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("requesting %s: %w", at.Path, err)
	}
	maps.Copy(request.Header, h.Header.Clone())
	request.Header.Set("User-Agent", UserAgent)
	request.Header.Set("Accept", accept)
	if h.Authorizer != nil {
		if err := h.Authorizer.Authorize(ctx, request); err != nil {
			return nil, fmt.Errorf("authorizing: %w", err)
		}
	}
	return h.Client.Do(request)
}
