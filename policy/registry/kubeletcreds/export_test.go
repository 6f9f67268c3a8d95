package kubeletcreds

import (
	"context"
	"time"
)

// Internals that the external tests of this package use.

// MatchesImage reports whether a pattern of matchImages matches an image.
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
	if found := answer.of(image); len(found) > 0 {
		return found[0].Username, found[0].Password, nil
	}
	return "", "", nil
}

// Providers are credential providers.
type Providers struct{ providers *providers }

// NewProviders returns those of a file and a directory.
func NewProviders(config, directory string) Providers {
	return Providers{newProviders(config, directory)}
}

// Lookup returns the credentials for an image, and why there are none.
func (p Providers) Lookup(ctx context.Context, image string) (username, password, note string) {
	found, note := p.providers.lookup(ctx, image, func(login) bool { return false })
	return found.username, found.password, note
}

// Keep caches an answer for an image, its registry, or "*" (all), and returns how many are cached.
func (p Providers) Keep(image string) int {
	p.providers.mu.Lock()
	defer p.providers.mu.Unlock()
	p.providers.keep(answerKey{image: image}, &providerAnswer{keep: time.Hour})
	return len(p.providers.answers)
}

// Kept reports whether an answer is cached.
func (p Providers) Kept(image string) bool {
	p.providers.mu.Lock()
	defer p.providers.mu.Unlock()
	return p.providers.kept(answerKey{image: image}) != nil
}

// CredentialsIn returns the credentials for an image in a file, username:secret, in the order of precedence.
func CredentialsIn(raw []byte, image string) (all []string, err error) {
	file, err := parseAuthFile(raw)
	if err != nil {
		return nil, err
	}
	entries, _, err := usable(file.matching(image))
	for _, entry := range entries {
		found := entry.login("")
		all = append(all, found.username+":"+found.password)
	}
	return all, err
}
