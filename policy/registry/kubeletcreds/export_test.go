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

// CredentialsIn returns the credentials for an image in a file.
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
