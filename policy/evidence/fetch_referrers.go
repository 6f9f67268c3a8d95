package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	containerdreference "github.com/containerd/containerd/v2/pkg/reference"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxPages is how many pages of a list of referrers are read.
	maxPages = 32
	// maxListed is how many referrers of a list are considered, and maxReferrers how many of them are looked at.
	maxListed    = 16384
	maxReferrers = 1000
)

// referrers asks which bundles and signatures refer to the subject: by the referrers API, or where there is none or it
// lists none by the fallback tag (OCI distribution specification 1.1, "Listing Referrers"). A registry that got the API
// later does not list what clients wrote under the tag before, unless its operator converts it.
//
// That hosts.toml gives a host no capability "referrers" says little: most files that list capabilities are older than
// that one.
func (p *placed) referrers(ctx context.Context, a *answer) error {
	list, err := p.listed(ctx)
	there := !errors.Is(err, errNoReferrers)
	if there && err != nil {
		return err
	}
	if there && len(list.candidates) > 0 ||
		!p.host.Capabilities.Has(docker.HostCapabilityResolve) {
		a.source.Digest = list.digest()
		if len(list.candidates) > 0 {
			a.read = func(ctx context.Context) error { return p.readBundles(ctx, a, list) }
		}
		return nil
	}
	return p.indexed(ctx, a)
}

// indexed asks for the fallback tag.
func (p *placed) indexed(ctx context.Context, a *answer) error {
	index, err := p.resolve(ctx, p.fallback)
	if err != nil || index.Digest == "" {
		return err
	}
	a.source.Digest = index.Digest
	a.read = func(ctx context.Context) error {
		from, err := p.resolver.Fetcher(ctx, p.fallback.String())
		if err != nil {
			return err
		}
		raw, err := readManifest(ctx, from, index)
		if err != nil {
			return err
		}
		list := &referrers{}
		if err := list.add(raw); err != nil {
			return err
		}
		return p.readBundles(ctx, a, list)
	}
	return nil
}

// errNoReferrers says that a registry has no referrers API.
var errNoReferrers = errors.New("it has no referrers API")

// listed asks the referrers API, page by page.
func (p *placed) listed(ctx context.Context) (*referrers, error) {
	list := &referrers{}
	next := p.url("referrers", p.subject.Digest().String())
	for page := range maxPages {
		raw, after, err := p.page(ctx, next)
		if err != nil && page > 0 && errors.Is(err, errNoReferrers) {
			err = fmt.Errorf("page %d of its referrers is not there", page+1)
		}
		if err != nil {
			return &referrers{}, err
		}
		if err := list.add(raw); err != nil {
			return &referrers{}, err
		}
		if after == "" || list.more {
			return list, nil
		}
		if next, err = p.follow(next, after); err != nil {
			return &referrers{}, err
		}
	}
	list.more = true
	return list, nil
}

// url returns where the host has something of the repository. A mirror is told which registry is meant, as containerd
// tells it.
func (p *placed) url(parts ...string) *url.URL {
	at := &url.URL{
		Scheme: p.host.Scheme, Host: p.host.Host,
		Path: path.Join(append([]string{"/", p.host.Path, reference.Path(p.subject)}, parts...)...),
	}
	domain := reference.Domain(p.subject)
	if p.host.Host != domain && (domain != "docker.io" || p.host.Host != "registry-1.docker.io") {
		at.RawQuery = url.Values{"ns": {domain}}.Encode()
	}
	return at
}

// page returns a page of the list, and the link to the next one; empty: it is the last.
func (p *placed) page(ctx context.Context, at *url.URL) (raw []byte, next string, err error) {
	response, err := p.get(ctx, at)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		// What registries say to what they do not know.
		return nil, "", errNoReferrers
	default:
		return nil, "", &statusError{status: response.StatusCode}
	}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || kind != ocispec.MediaTypeImageIndex && kind != "application/json" {
		// A web server that has a page for everything.
		return nil, "", errNoReferrers
	}
	if raw, err = io.ReadAll(response.Body); err != nil {
		return nil, "", err
	}
	if err := checkElements(raw); err != nil {
		return nil, "", fmt.Errorf("its list of referrers: %w", err)
	}
	return raw, nextLink(response.Header), nil
}

// follow returns where the next page is, which is with the same host.
func (p *placed) follow(at *url.URL, link string) (*url.URL, error) {
	next, err := at.Parse(link)
	if err != nil {
		return nil, errors.New("the link to the next page of its referrers is not a URL")
	}
	if next.Host != p.host.Host {
		return nil, errors.New("the link to the next page of its referrers leads to another host")
	}
	// Behind a proxy, a registry may not know by what scheme it is asked.
	next.Scheme = p.host.Scheme
	return next, nil
}

// nextLink returns the target of the link to the next page (RFC 8288, relation type next), or nothing.
func nextLink(header http.Header) string {
	for _, value := range header.Values("Link") {
		for value != "" {
			_, link, _ := strings.Cut(value, "<")
			target, rest, _ := strings.Cut(link, ">")
			// A target may have a comma in it; what follows it ends with one.
			parameters, others, _ := strings.Cut(rest, ",")
			if isNext(parameters) {
				return target
			}
			value = others
		}
	}
	return ""
}

// isNext reports whether the parameters of a link say that it leads to the next page.
func isNext(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, relation, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "rel") && strings.EqualFold(strings.Trim(relation, `"`), "next") {
			return true
		}
	}
	return false
}

// get asks the host for what containerd's resolver has no question for, with the same credentials.
func (p *placed) get(ctx context.Context, at *url.URL) (*http.Response, error) {
	spec, err := containerdreference.Parse(p.tag.String())
	if err != nil {
		return nil, fmt.Errorf("naming the repository: %w", err)
	}
	if ctx, err = docker.ContextWithRepositoryScope(ctx, spec, false); err != nil {
		return nil, fmt.Errorf("naming the repository: %w", err)
	}
	var answers []*http.Response
	for {
		response, err := p.try(ctx, at)
		if err != nil {
			return nil, err
		}
		if response.StatusCode != http.StatusUnauthorized || p.host.Authorizer == nil || len(answers) > 1 {
			return response, nil
		}
		answers = append(answers, response)
		if err := errors.Join(p.host.Authorizer.AddResponses(ctx, answers), response.Body.Close()); err != nil {
			return nil, &statusError{status: response.StatusCode, cause: err}
		}
	}
}

// try asks once, by what is known of authorization.
func (p *placed) try(ctx context.Context, at *url.URL) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking for referrers: %w", err)
	}
	maps.Copy(request.Header, p.host.Header.Clone())
	request.Header.Set("User-Agent", userAgent)
	request.Header.Set("Accept", ocispec.MediaTypeImageIndex)
	if p.host.Authorizer != nil {
		if err := p.host.Authorizer.Authorize(ctx, request); err != nil {
			return nil, fmt.Errorf("authorizing: %w", err)
		}
	}
	return p.host.Client.Do(request)
}
