package kubeletcreds

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/countersign/countersign/policy/internal/bounded"
)

const (
	// providerGroup is the API group of requests to credential providers and their answers.
	providerGroup = "credentialprovider.kubelet.k8s.io/"
	// maxProviderConfig limits a CredentialProviderConfig, in bytes.
	maxProviderConfig = 1 << 20
)

// provider is one of the kubelet's credential providers in a CredentialProviderConfig (Kubernetes v1.36, group
// kubelet.config.k8s.io, versions v1, v1beta1 and v1alpha1). Other fields are ignored.
type provider struct {
	Name                 string        `yaml:"name"`
	MatchImages          []string      `yaml:"matchImages"`
	DefaultCacheDuration *yamlDuration `yaml:"defaultCacheDuration"`
	APIVersion           string        `yaml:"apiVersion"`
	Args                 []string      `yaml:"args"`
	Env                  []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"env"`
	TokenAttributes *struct {
		RequireServiceAccount *bool `yaml:"requireServiceAccount"`
	} `yaml:"tokenAttributes"`
}

// yamlDuration is a duration in Kubernetes' format.
type yamlDuration time.Duration

// UnmarshalYAML parses a duration such as 12h30m.
func (d *yamlDuration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*d = yamlDuration(parsed)
	return nil
}

// readProviders reads a CredentialProviderConfig. In a directory it reads all files that end in .json, .yaml or .yml,
// sorted by name.
func readProviders(path string) ([]provider, error) {
	files, err := providerFiles(path)
	if err != nil {
		return nil, fmt.Errorf("reading the credential providers: %w", err)
	}
	var all []provider
	names := map[string]bool{}
	for _, file := range files {
		raw, err := bounded.ReadFile(file, maxProviderConfig)
		if err != nil {
			return nil, fmt.Errorf("reading the credential providers: %w", err)
		}
		some, err := parseProviders(raw)
		if err != nil {
			return nil, fmt.Errorf("reading the credential providers in %s: %w", file, err)
		}
		for _, p := range some {
			if names[p.Name] {
				return nil, fmt.Errorf("reading the credential providers in %s: two providers are called %s", file, p.Name)
			}
			names[p.Name] = true
		}
		all = append(all, some...)
	}
	return all, nil
}

func providerFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(entry.Name())) {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	return files, nil
}

// parseProviders parses a CredentialProviderConfig, in YAML or JSON, as strictly as the kubelet validates it.
func parseProviders(raw []byte) ([]provider, error) {
	var config struct {
		APIVersion string     `yaml:"apiVersion"`
		Kind       string     `yaml:"kind"`
		Providers  []provider `yaml:"providers"`
	}
	if err := yaml.Unmarshal(raw, &config); err != nil {
		return nil, err
	}
	group, version, _ := strings.Cut(config.APIVersion, "/")
	if config.Kind != "CredentialProviderConfig" || group != "kubelet.config.k8s.io" || !knownVersion(version) {
		return nil, fmt.Errorf("it is a %.80q of %.80q, not a CredentialProviderConfig of kubelet.config.k8s.io/v1",
			config.Kind, config.APIVersion)
	}
	if len(config.Providers) == 0 {
		return nil, errors.New("it has no providers")
	}
	for i := range config.Providers {
		if err := config.Providers[i].validate(); err != nil {
			return nil, fmt.Errorf("provider %.80q: %w", config.Providers[i].Name, err)
		}
	}
	return config.Providers, nil
}

func knownVersion(version string) bool {
	return slices.Contains([]string{"v1", "v1beta1", "v1alpha1"}, version)
}

func (p *provider) validate() error {
	if p.Name == "" || p.Name == "." || p.Name == ".." || strings.ContainsAny(p.Name, "/ \x00") {
		return errors.New("its name is not a file name")
	}
	if version, ok := strings.CutPrefix(p.APIVersion, providerGroup); !ok || !knownVersion(version) {
		return fmt.Errorf("its apiVersion is %.80q, not %sv1", p.APIVersion, providerGroup)
	}
	if len(p.MatchImages) == 0 {
		return errors.New("matchImages is empty")
	}
	for _, pattern := range p.MatchImages {
		if _, err := matchesImage(pattern, ""); err != nil {
			return fmt.Errorf("matchImages: %.80q: %w", pattern, err)
		}
	}
	if p.DefaultCacheDuration == nil || *p.DefaultCacheDuration < 0 {
		return errors.New("defaultCacheDuration is missing or negative")
	}
	return nil
}

// matches reports whether the provider is for an image.
func (p *provider) matches(image string) bool {
	return slices.ContainsFunc(p.MatchImages, func(pattern string) bool {
		matched, err := matchesImage(pattern, image)
		return matched && err == nil
	})
}

// wantsToken reports whether the provider works only with the token of a pod's service account.
func (p *provider) wantsToken() bool {
	return p.TokenAttributes != nil &&
		(p.TokenAttributes.RequireServiceAccount == nil || *p.TokenAttributes.RequireServiceAccount)
}

// matchesImage reports whether a pattern matches an image, as in the kubelet (Kubernetes v1.36,
// pkg/credentialprovider): ports are equal, each label of the host matches a glob, and the path begins with the
// pattern's path.
func matchesImage(pattern, image string) (bool, error) {
	of, err := url.Parse("https://" + pattern)
	if err != nil {
		return false, err
	}
	to, err := url.Parse("https://" + image)
	if err != nil {
		return false, err
	}
	globs, globPort := splitHost(of.Host)
	parts, port := splitHost(to.Host)
	matched := globPort == port && len(globs) == len(parts) && strings.HasPrefix(to.Path, of.Path)
	for i, glob := range globs {
		part := ""
		if i < len(parts) {
			part = parts[i]
		}
		one, err := filepath.Match(glob, part)
		if err != nil {
			return false, err
		}
		matched = matched && one
	}
	return matched, nil
}

// splitHost returns the labels of a host, and its port.
func splitHost(address string) (parts []string, port string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, ""
	}
	return strings.Split(host, "."), port
}
