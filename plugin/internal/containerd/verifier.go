package containerd

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Names of plugins in containerd's configuration (containerd v2.4.2). Before version 3 of the configuration one plugin
// had the settings of all CRI plugins.
const (
	verifierPlugin  = "io.containerd.image-verifier.v1.bindir"
	transferPlugin  = "io.containerd.transfer.v1.local"
	criImagesPlugin = "io.containerd.cri.v1.images"
	criOldPlugin    = "io.containerd.grpc.v1.cri"
)

// Defaults of containerd v2.4.2.
const (
	defaultVerifiers       = "/opt/containerd/image-verifier/bin"
	defaultMaxVerifiers    = 10
	defaultVerifierTimeout = 10 * time.Second
	defaultDownloads       = 3
	// defaultSandbox has a different tag in each version of containerd.
	defaultSandbox = "registry.k8s.io/pause:3.10.2"
)

// ErrPullsRefused is wrapped by errors that make containerd refuse every pull.
var ErrPullsRefused = errors.New("containerd refuses every pull")

// ErrTooManyVerifiers is wrapped by the error about a verifier that max_verifiers excludes.
var ErrTooManyVerifiers = errors.New("too many image verifiers")

// VerifiesPulls returns nil if containerd runs countersign-verifier for each image that its CRI plugin pulls. Otherwise
// it returns why not, according to its configuration and the programs in its bin_dir. The timeout is pull.timeout of
// config.toml, within which the verifier answers.
func (c *Config) VerifiesPulls(timeout time.Duration) error {
	return cmp.Or(c.PullPlugins(), c.PullsByTransfer(), c.RunsVerifier(), c.WaitsForVerifier(timeout))
}

// PullPlugins returns an error if a plugin of containerd is disabled without which no image verifier runs.
func (c *Config) PullPlugins() error {
	for _, name := range []string{verifierPlugin, transferPlugin} {
		if slices.Contains(c.merged.DisabledPlugins, name) {
			return fmt.Errorf("containerd's configuration disables its plugin %s", name)
		}
	}
	return nil
}

// PullsByTransfer returns an error if containerd's CRI plugin pulls without the transfer service.
func (c *Config) PullsByTransfer() error {
	if why := c.localPull(); why != "" {
		return fmt.Errorf("containerd's CRI plugin pulls without the transfer service, and so without image verifiers: %s",
			why)
	}
	return nil
}

// RunsVerifier returns an error unless countersign-verifier is among the programs that containerd runs. It wraps
// [ErrPullsRefused] if one of them cannot be executed, and [ErrTooManyVerifiers] if max_verifiers excludes it.
func (c *Config) RunsVerifier() error {
	return verifierIn(c.Verifiers(), number(c.plugin(verifierPlugin)["max_verifiers"], defaultMaxVerifiers))
}

// WaitsForVerifier returns an error unless containerd waits longer for a verifier than it may take.
func (c *Config) WaitsForVerifier(timeout time.Duration) error {
	limit := duration(c.plugin(verifierPlugin)["per_verifier_timeout"], defaultVerifierTimeout)
	if limit <= timeout {
		return fmt.Errorf("containerd ends image verifiers after %s, and then refuses the pull; reduce pull.timeout, which "+
			"is %s", limit, timeout)
	}
	return nil
}

// localPull returns the setting that makes containerd's CRI plugin pull without the transfer service, or the empty
// string (containerd v2.4.2, internal/cri/config, CheckLocalImagePullConfigs).
func (c *Config) localPull() string {
	images := c.criImages()
	for _, name := range []string{"use_local_image_pull", "discard_unpacked_layers", "image_pull_with_sync_fs"} {
		if set, _ := images[name].(bool); set {
			return name + " is set"
		}
	}
	if set, ok := images["disable_snapshot_annotations"].(bool); ok && !set {
		return "disable_snapshot_annotations is false"
	}
	if set := number(images["max_concurrent_downloads"], defaultDownloads); set != defaultDownloads {
		return fmt.Sprintf("max_concurrent_downloads is %d; set it for the transfer service instead", set)
	}
	registry, _ := images["registry"].(map[string]any)
	for _, name := range []string{"mirrors", "configs", "auths"} {
		if set, _ := registry[name].(map[string]any); len(set) > 0 {
			return "registry." + name + " is set; use config_path"
		}
	}
	return ""
}

// SandboxImage returns the reference of the sandbox (pause) image, which every pod needs.
func (c *Config) SandboxImage() string {
	images := c.criImages()
	if pinned, ok := images["pinned_images"].(map[string]any); ok {
		return text(pinned["sandbox"], defaultSandbox)
	}
	return text(images["sandbox_image"], defaultSandbox)
}

// criImages returns the image settings of the CRI plugin. Configuration files of version 2 have them in another
// section, and may be merged with newer files. If both sections exist, the newer one is used, although containerd may
// use the older one.
func (c *Config) criImages() map[string]any {
	all := map[string]any{}
	old := c.plugin(criOldPlugin)
	maps.Copy(all, old)
	if older, ok := old["containerd"].(map[string]any); ok {
		maps.Copy(all, older)
	}
	maps.Copy(all, c.plugin(criImagesPlugin))
	return all
}

func text(value any, otherwise string) string {
	if text, ok := value.(string); ok {
		return text
	}
	return otherwise
}

func number(value any, otherwise int) int {
	if number, ok := value.(int64); ok {
		return int(number)
	}
	return otherwise
}
