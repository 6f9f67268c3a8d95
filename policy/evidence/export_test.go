package evidence

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// What the tests of this package, which are outside it, need to reach within.

const (
	MaxManifest = maxManifest
	MaxPayload  = maxPayload
)

// Look stands for a registry in tests of time, which a network would keep from passing.
type Look func(repository reference.Named, manifest, known digest.Digest) (Found, error)

// Found is what a Look found.
type Found struct {
	Unchanged bool
	Files     [][]byte
	Bundles   [][]byte
	Tag       digest.Digest
}

// OpenLooking opens a Keeper that asks a Look instead of a network.
func OpenLooking(config Config, look Look) (*Keeper, error) {
	return open(config, func(
		ctx context.Context, repository reference.Named, manifest digest.Digest, known []source,
	) (*finding, error) {
		var tag digest.Digest
		if len(known) > 0 {
			tag = known[0].Digest
		}
		found, err := look(repository, manifest, tag)
		if err != nil {
			return nil, err
		}
		return &finding{
			unchanged: found.Unchanged,
			content:   content{signatures: found.Files, bundles: found.Bundles},
			sources:   []source{{Digest: found.Tag}},
		}, ctx.Err()
	})
}

// OpenWithTimeout opens a Keeper whose fetches end after a time.
func OpenWithTimeout(config Config, timeout time.Duration) (*Keeper, error) {
	registries := NewRegistries(RegistryConfig{})
	if config.Registries != nil {
		registries = NewRegistries(config.Registries.config)
	}
	registries.timeout = timeout
	return open(config, registries.look)
}

// Busy returns the error of a registry that wants to be left alone.
func Busy(after time.Duration) error {
	return &busyError{status: http.StatusTooManyRequests, after: after}
}

// SignatureFile returns a signature as it is kept.
func SignatureFile(mediaType string, payload []byte, annotations map[string]string) ([]byte, error) {
	return signatureFile(mediaType, payload, annotations)
}

// Location returns where evidence is kept below the directory of a Keeper.
func Location(directory string, manifest digest.Digest, repository string) string {
	return filepath.Join(directory, versionDirectory, key{manifest: manifest, repository: repository}.path())
}

// Write keeps signatures as a Keeper does, in a volume that it opens.
func Write(directory string, manifest digest.Digest, repository string, files [][]byte) error {
	return WriteBoth(directory, manifest, repository, files, nil)
}

// WriteBoth keeps signatures and bundles.
func WriteBoth(directory string, manifest digest.Digest, repository string, signatures, bundles [][]byte) error {
	k := key{manifest: manifest, repository: repository}
	f := &finding{content: content{signatures: signatures, bundles: bundles}}
	_, _, err := newVolume(filepath.Join(directory, versionDirectory), 1<<30).write(
		k, update{record: f.record(k), content: f.content, decides: true},
	)
	return err
}

// Store is a volume on its own.
type Store struct{ volume *volume }

// NewStore returns the volume in a directory.
func NewStore(directory string, limit int64) Store { return Store{newVolume(directory, limit)} }

// Write stores signatures.
func (s Store) Write(manifest digest.Digest, repository string, files [][]byte) error {
	k := key{manifest: manifest, repository: repository}
	f := &finding{content: content{signatures: files}}
	_, _, err := s.volume.write(k, update{record: f.record(k), content: f.content, decides: true})
	return err
}

// NewLedger returns a function that enters one more item into a full ledger of as many registries, and evicts for it.
func NewLedger(registries int) (evict func(n int)) {
	l := newLedger()
	at := func(n int) key {
		return key{manifest: digest.FromString(strconv.Itoa(n)), repository: fmt.Sprintf("%d.example/app", n)}
	}
	for n := range registries {
		l.set(at(n), 1, n%2 == 0)
	}
	return func(n int) {
		k := at(registries + n)
		l.victims(k, 1, int64(registries), true)
		l.set(k, 1, n%2 == 0)
	}
}

// Sweep does what a start does with what an earlier process left.
func Sweep(directory string) {
	v := newVolume(filepath.Join(directory, versionDirectory), 1<<30)
	v.sweep(context.Background())
	v.reap(time.Now(), true)
}

// ParseRecord parses a record.json.
func ParseRecord(raw []byte, manifest digest.Digest, repository string) (files int, err error) {
	r, err := parseRecord(raw, key{manifest: manifest, repository: repository})
	return len(r.Signatures), err
}

// ParseLayers parses the manifest under a signatures' tag.
func ParseLayers(raw []byte) (layers, omitted int, err error) {
	found, omitted, err := parseLayers(raw)
	return len(found), omitted, err
}

// RetryAfter reads a Retry-After header.
func RetryAfter(header string, now time.Time) time.Duration { return retryAfter(header, now) }

// Way is the way to a host of a registry.
type Way struct{ registry *registry }

// NewWay returns the way to a host.
func NewWay(host string) Way {
	r := newRegistry(host, nil, newPauses())
	r.begin(docker.RegistryHost{Host: host})
	return Way{registry: r}
}

// Reached says that a connection to a name has come to an address.
func (w Way) Reached(name string, address net.Addr) error { return w.registry.reached(name, address) }

// MayAsk says whether a URL may be asked.
func (w Way) MayAsk(to *url.URL) error { return w.registry.mayAsk(to) }

// Permit notes a proxy.
func (w Way) Permit(proxy *url.URL) { w.registry.permit(proxy) }

// MatchesImage reports whether an image is one of those that a pattern of matchImages means.
func MatchesImage(pattern, image string) (bool, error) { return matchesImage(pattern, image) }

// ParseProviders parses a CredentialProviderConfig and returns the names of its providers.
func ParseProviders(raw []byte) (names []string, err error) {
	all, err := parseProviders(raw)
	for i := range all {
		names = append(names, all[i].Name)
	}
	return names, err
}

// ParseProviderAnswer parses a CredentialProviderResponse and returns the credentials for an image.
func ParseProviderAnswer(raw []byte, apiVersion, image string) (username, password string, err error) {
	answer, err := parseProviderAnswer(raw, &provider{APIVersion: apiVersion, DefaultCacheDuration: new(yamlDuration)})
	if err != nil {
		return "", "", err
	}
	found, _ := answer.of(image)
	return found.Username, found.Password, nil
}

// Providers are credential providers.
type Providers struct{ providers *providers }

// NewProviders returns those of a file and a directory.
func NewProviders(config, directory string) Providers {
	return Providers{newProviders(config, directory)}
}

// Lookup returns the credentials for an image, and why there are none.
func (p Providers) Lookup(ctx context.Context, image string) (username, password, note string) {
	found, _, note := p.providers.lookup(ctx, image)
	return found.Username, found.Password, note
}

// LookasideBase returns where the signatures of a repository lie, by a directory of registries.d.
func LookasideBase(directory string, repository reference.Named) (*url.URL, error) {
	all, err := readLookasides(directory)
	if err != nil {
		return nil, err
	}
	return all.base(repository)
}

// ParseLookasides parses a file of registries.d and returns where the signatures of a repository lie.
func ParseLookasides(raw []byte, repository reference.Named) (*url.URL, error) {
	all := newLookasides()
	all.add("registry.yaml", raw)
	return all.base(repository)
}

// LookasideProblems returns how many things are wrong with a file of registries.d.
func LookasideProblems(raw []byte) int {
	all := newLookasides()
	all.add("registry.yaml", raw)
	return len(all.problems)
}

// Pauses says which hosts are to be left alone.
type Pauses struct{ pauses *pauses }

// NewPauses returns pauses of no host.
func NewPauses() Pauses { return Pauses{newPauses()} }

// Answered notes an answer of a host.
func (p Pauses) Answered(host string, status int, retryAfter string) error {
	return p.pauses.answered(host, &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}}})
}

// MayAsk returns an error for a host that is to be left alone.
func (p Pauses) MayAsk(host string) error { return p.pauses.mayAsk(host) }

// Hosts returns how many hosts are remembered.
func (p Pauses) Hosts() int { return len(p.pauses.hosts) }

// ParseReferrers parses a list of referrers and returns those that are to be looked at, in that order, what identifies
// the list and how many were left out.
func ParseReferrers(raw []byte) (ordered []digest.Digest, list digest.Digest, bad int, err error) {
	parsed := &referrers{}
	err = parsed.add(raw)
	for _, listed := range parsed.ordered() {
		ordered = append(ordered, listed.Digest)
	}
	return ordered, parsed.digest(), parsed.bad.count, err
}

// HeldOfReferrers parses a list of referrers and returns how many bytes of text are held of it.
func HeldOfReferrers(raw []byte) (held int, err error) {
	parsed := &referrers{}
	err = parsed.add(raw)
	for _, listed := range parsed.candidates {
		text, _ := json.Marshal(listed)
		held += len(text)
	}
	return held, err
}

// RememberedReferrers returns of how many manifests it is remembered what they hold.
func RememberedReferrers(r *Registries) int { return r.attached.Len() }

// ParseAttached parses the manifest of a referrer and returns its subject and its bundles.
func ParseAttached(raw []byte) (subject digest.Digest, bundles []digest.Digest, err error) {
	holds, err := parseAttached(raw)
	if err != nil {
		return "", nil, err
	}
	for _, bundle := range holds.bundles {
		bundles = append(bundles, bundle.Digest)
	}
	return holds.subject, bundles, nil
}

// NextLink returns the target of the link to the next page.
func NextLink(value string) string { return nextLink(http.Header{"Link": {value}}) }

// CredentialsIn returns the credentials for an image in a file of them.
func CredentialsIn(raw []byte, image string) (username, secret string, err error) {
	file, err := parseAuthFile(raw)
	if err != nil {
		return "", "", err
	}
	entry, _, err := usable(file.matching(image))
	if err != nil || entry == nil {
		return "", "", err
	}
	if entry.identityToken != "" {
		return "", entry.identityToken, nil
	}
	return entry.username, entry.password, nil
}
