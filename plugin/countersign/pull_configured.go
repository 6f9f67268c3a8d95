package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/cmd/containerd/server/config"
)

// Plugins of containerd, by their names in its configuration (containerd v2.4.2). The one before version 3 did what
// the CRI ones do now.
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
	// defaultSandbox differs from one version to the next, in its tag.
	defaultSandbox = "registry.k8s.io/pause:3.10.2"
)

// errPullsRefused is wrapped where containerd refuses every image that it is to pull.
var errPullsRefused = errors.New("containerd refuses every pull")

// verifiedIn says whether containerd asks about each image that its CRI pulls, by its merged configuration and what
// lies in its bin_dir: nil, or why it does not. timeout is how long the verifier may take.
func verifiedIn(merged *config.Config, timeout time.Duration) error {
	for _, name := range []string{verifierPlugin, transferPlugin} {
		if slices.Contains(merged.DisabledPlugins, name) {
			return fmt.Errorf("containerd's configuration disables its plugin %s", name)
		}
	}
	if why := localPull(merged); why != "" {
		return fmt.Errorf("containerd's CRI pulls without its transfer service, and so asks nobody: %s", why)
	}
	section := section(merged, verifierPlugin)
	directory := text(section["bin_dir"], defaultVerifiers)
	if err := installedIn(directory, number(section["max_verifiers"], defaultMaxVerifiers)); err != nil {
		return err
	}
	patience := defaultVerifierTimeout
	if set, err := time.ParseDuration(text(section["per_verifier_timeout"], "")); err == nil {
		patience = set
	}
	if patience <= timeout {
		return fmt.Errorf("containerd ends image verifiers after %s, and then refuses the pull; set pull.timeout, which is "+
			"%s, to less", patience, timeout)
	}
	return nil
}

// localPull returns the setting for whose sake containerd's CRI pulls by itself, or nothing (containerd v2.4.2,
// internal/cri/config, CheckLocalImagePullConfigs).
func localPull(merged *config.Config) string {
	images := criImages(merged)
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

// sandboxIn returns the reference of the image that every pod starts with.
func sandboxIn(merged *config.Config) string {
	images := criImages(merged)
	if pinned, ok := images["pinned_images"].(map[string]any); ok {
		return text(pinned["sandbox"], defaultSandbox)
	}
	return text(images["sandbox_image"], defaultSandbox)
}

// criImages returns how the CRI plugin treats images. Files of version 2 say it elsewhere, and may be merged with
// newer ones; what those say counts, whatever containerd does with the older.
func criImages(merged *config.Config) map[string]any {
	all := map[string]any{}
	old := section(merged, criOldPlugin)
	maps.Copy(all, old)
	if older, ok := old["containerd"].(map[string]any); ok {
		maps.Copy(all, older)
	}
	maps.Copy(all, section(merged, criImagesPlugin))
	return all
}

func section(merged *config.Config, plugin string) map[string]any {
	section, _ := merged.Plugins[plugin].(map[string]any)
	return section
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
