package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/registry"
)

const (
	// maxPages is how many pages of a list of referrers are read.
	maxPages = 32
	// maxListed is how many referrers of a list are considered, and maxReferrers how many of them are looked at.
	maxListed    = 16384
	maxReferrers = 1000
)

// referrers are the bundles and signatures that refer to the subject: by the referrers API, or where there is none
// or it lists none by the fallback tag (OCI distribution specification 1.1, "Listing Referrers"). A registry that
// got the API later does not list what clients wrote under the tag before, unless its operator converts it.
//
// A missing capability "referrers" in hosts.toml proves little: most files that list capabilities are older than that
// one.
type referrers struct {
	*hostRequest
	// list is what the API listed, and index what is under the fallback tag; neither where there is nothing.
	list  *referrerList
	index ocispec.Descriptor
}

// Reference implements [Source].
func (r *referrers) Reference() string { return r.subject.String() }

// Description implements [Source].
func (r *referrers) Description() string { return "the referrers of " + r.subject.String() }

// Head implements [Source].
func (r *referrers) Head(ctx context.Context) (digest.Digest, error) {
	list, err := r.listed(ctx)
	hasAPI := !errors.Is(err, errNoReferrers)
	if hasAPI && err != nil {
		return "", err
	}
	if hasAPI && len(list.candidates) > 0 || !r.canResolve() {
		r.list = list
		return list.digest(), nil
	}
	r.index, err = r.host.ResolveTag(ctx, r.fallback)
	return r.index.Digest, err
}

// Read implements [Source].
func (r *referrers) Read(ctx context.Context, into *Content) error {
	if r.list != nil {
		return r.readBundles(ctx, into, r.list)
	}
	from, err := r.host.Resolver.Fetcher(ctx, r.fallback.String())
	if err != nil {
		return err
	}
	raw, err := readManifest(ctx, from, r.index)
	if err != nil {
		return err
	}
	list := &referrerList{reads: r.reads}
	if err := list.add(raw); err != nil {
		return err
	}
	return r.readBundles(ctx, into, list)
}

// errNoReferrers reports that a registry has no referrers API.
var errNoReferrers = errors.New("it has no referrers API")

// listed asks the referrers API, page by page.
func (r *referrers) listed(ctx context.Context) (*referrerList, error) {
	list := &referrerList{reads: r.reads}
	next := r.host.Endpoint(r.subject, "referrers", r.subject.Digest().String())
	for page := range maxPages {
		raw, after, err := r.page(ctx, next)
		if err != nil && page > 0 && errors.Is(err, errNoReferrers) {
			err = fmt.Errorf("page %d of its referrers is not there", page+1)
		}
		if err != nil {
			return &referrerList{}, err
		}
		if err := list.add(raw); err != nil {
			return &referrerList{}, err
		}
		if after == "" || list.more {
			return list, nil
		}
		if next, err = r.follow(next, after); err != nil {
			return &referrerList{}, err
		}
	}
	list.more = true
	return list, nil
}

// page returns a page of the list, and the link to the next one; empty: it is the last.
func (r *referrers) page(ctx context.Context, at *url.URL) (raw []byte, next string, err error) {
	response, err := r.host.Get(ctx, r.tag, at, ocispec.MediaTypeImageIndex)
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
		return nil, "", &registry.StatusError{Status: response.StatusCode}
	}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || kind != ocispec.MediaTypeImageIndex && kind != "application/json" {
		// A web server that has a page for everything.
		return nil, "", errNoReferrers
	}
	if raw, err = io.ReadAll(response.Body); err != nil {
		return nil, "", err
	}
	if err := registry.CheckElements(raw); err != nil {
		return nil, "", fmt.Errorf("its list of referrers: %w", err)
	}
	return raw, nextLink(response.Header), nil
}

// follow returns the URL of the next page. A link to another host is an error.
func (r *referrers) follow(at *url.URL, link string) (*url.URL, error) {
	next, err := at.Parse(link)
	if err != nil {
		return nil, errors.New("the link to the next page of its referrers is not a URL")
	}
	if next.Host != r.host.Host {
		return nil, errors.New("the link to the next page of its referrers leads to another host")
	}
	// Behind a proxy, a registry may not know by what scheme it is asked.
	next.Scheme = r.host.Scheme
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

// isNext reports whether a link, by its parameters, leads to the next page.
func isNext(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, relation, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "rel") && strings.EqualFold(strings.Trim(relation, `"`), "next") {
			return true
		}
	}
	return false
}
