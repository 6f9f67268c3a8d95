package kubeletcreds

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// providerAnswer is a CredentialProviderResponse.
type providerAnswer struct {
	APIVersion    string                   `json:"apiVersion"`
	Kind          string                   `json:"kind"`
	CacheKeyType  string                   `json:"cacheKeyType"`
	CacheDuration *string                  `json:"cacheDuration"`
	Auth          map[string]providerLogin `json:"auth"`

	// keep is how long it is valid.
	keep time.Duration
}

// providerLogin is a username and a secret.
type providerLogin struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// parseProviderAnswer parses a provider's output. No error quotes it, because it may be the secret.
func parseProviderAnswer(raw []byte, p *provider) (*providerAnswer, error) {
	answer := &providerAnswer{}
	if err := json.Unmarshal(raw, answer); err != nil {
		return nil, errors.New("its output is not JSON of the expected form")
	}
	if answer.Kind != "CredentialProviderResponse" || answer.APIVersion != p.APIVersion {
		return nil, fmt.Errorf("its output is not a CredentialProviderResponse of %s", p.APIVersion)
	}
	if !slices.Contains([]string{"Image", "Registry", "Global"}, answer.CacheKeyType) {
		return nil, errors.New("its cacheKeyType is not Image, Registry or Global")
	}
	answer.keep = time.Duration(*p.DefaultCacheDuration)
	if answer.CacheDuration != nil {
		keep, err := time.ParseDuration(*answer.CacheDuration)
		if err != nil {
			return nil, errors.New("its cacheDuration is not a duration")
		}
		answer.keep = keep
	}
	return answer, nil
}

// cacheKey returns for which images the answer is valid.
func (a *providerAnswer) cacheKey(image string) string {
	switch a.CacheKeyType {
	case "Image":
		return image
	case "Registry":
		return hostOf(image)
	default:
		return globalKey
	}
}

// globalKey is not the name of an image or a host.
const globalKey = "*"

func hostOf(image string) string {
	host, _, _ := strings.Cut(image, "/")
	return host
}

// of returns the credentials for an image: those of the last matching pattern in text order first, because longer ones
// win. Those for index.docker.io also apply to docker.io.
func (a *providerAnswer) of(image string) (found []providerLogin) {
	identities := map[string]providerLogin{}
	for location, identity := range a.Auth {
		if pattern, ok := patternOf(location); ok && identity.Password != "" {
			identities[pattern] = identity
		}
	}
	for _, pattern := range slices.Backward(slices.Sorted(maps.Keys(identities))) {
		if matched, err := matchesImage(pattern, image); matched && err == nil {
			found = append(found, identities[pattern])
		}
	}
	if identity, ok := identities["index.docker.io"]; ok && len(found) == 0 && hostOf(image) == "docker.io" {
		found = append(found, identity)
	}
	return found
}

// patternOf returns the pattern for a key of the answer. The key may be a URL, with the path of a registry's API.
func patternOf(location string) (string, bool) {
	if !strings.HasPrefix(location, "https://") && !strings.HasPrefix(location, "http://") {
		location = "https://" + location
	}
	parsed, err := url.Parse(location)
	if err != nil {
		return "", false
	}
	path := parsed.Path
	if strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/v2/") {
		path = path[len("/v1"):]
	}
	if path == "/" {
		path = ""
	}
	return parsed.Host + path, true
}
