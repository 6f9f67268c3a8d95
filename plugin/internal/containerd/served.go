package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/containerd/v2/plugins"
)

// criRuntimePlugin has the settings of the CRI plugin for containers. Before version 3 of the configuration,
// criOldPlugin has them.
const criRuntimePlugin = "io.containerd.cri.v1.runtime"

// remoteExport is what a snapshotter exports if it fetches files when a container reads them: containerd then passes it
// the names of images (containerd v2.4.2, core/transfer/local).
const remoteExport = "enable_remote_snapshot_annotations"

// Unsupported returns why the containerd at an address cannot be served as it is configured. If allowRemote is set, it
// may use remote snapshotters. An undetermined property is not a reason.
func Unsupported(ctx context.Context, address string, allowRemote bool) error {
	config, err := ReadConfig(ctx, address)
	if err != nil {
		return nil //nolint:nilerr // The health check "required" reports that the configuration is unknown.
	}
	if err := config.Restores(); err != nil || allowRemote {
		return err
	}
	remote, err := RemoteSnapshotters(ctx, address)
	if err != nil {
		return nil //nolint:nilerr // Each container is refused whose snapshotter is remote or unknown.
	}
	return config.UsesRemote(remote)
}

// Restores returns an error if containerd restores containers from checkpoint images.
func (c *Config) Restores() error {
	const key = "enable_experimental_restore_via_create"
	for _, name := range []string{criRuntimePlugin, criOldPlugin} {
		if set, _ := c.plugin(name)[key].(bool); set {
			return fmt.Errorf("%s and its imports set %s of %s: checkpoint images forge what plugins are told; remove it",
				c.path, key, name)
		}
	}
	return nil
}

// UsesRemote returns an error if the CRI plugin uses one of these snapshotters.
func (c *Config) UsesRemote(remote []string) error {
	for _, name := range c.snapshotters() {
		if slices.Contains(remote, name) {
			return fmt.Errorf("containerd's CRI plugin uses the remote snapshotter %s, whose snapshots do not prove which "+
				"files a container has; set [enforce] insecure_remote_snapshotters = true to evaluate their images nevertheless",
				name)
		}
	}
	return nil
}

// snapshotters returns the snapshotters of the CRI plugin: its own, and those of its runtimes.
func (c *Config) snapshotters() []string {
	images := c.criImages()
	found := []string{text(images["snapshotter"], "overlayfs")}
	platforms, _ := images["runtime_platforms"].(map[string]any)
	found = append(found, settingOf(platforms, "snapshotter")...)
	for _, name := range []string{criRuntimePlugin, criOldPlugin} {
		settings, _ := c.plugin(name)["containerd"].(map[string]any)
		runtimes, _ := settings["runtimes"].(map[string]any)
		found = append(found, settingOf(runtimes, "snapshotter")...)
	}
	return found
}

// settingOf returns a setting of each table in a table, as far as it is set.
func settingOf(tables map[string]any, name string) (values []string) {
	for _, table := range tables {
		settings, _ := table.(map[string]any)
		if value := text(settings[name], ""); value != "" {
			values = append(values, value)
		}
	}
	return values
}

// RemoteSnapshotters returns the snapshotters of the containerd at an address that fetch files when they are read.
func RemoteSnapshotters(ctx context.Context, address string) ([]string, error) {
	client, err := Connect(ctx, address, "")
	if err != nil {
		return nil, err
	}
	defer client.Close()
	response, err := client.IntrospectionService().Plugins(ctx, "type=="+string(plugins.SnapshotPlugin))
	if err != nil {
		return nil, errors.Join(errors.New("asking containerd for its snapshotters"), err)
	}
	var remote []string
	for _, plugin := range response.GetPlugins() {
		if plugin.GetExports()[remoteExport] == "true" {
			remote = append(remote, plugin.GetID())
		}
	}
	return remote, nil
}

// HostsDirectories returns the directories with a hosts.toml per registry, from which the CRI plugin pulls images:
// a list separated by colons (containerd v2.4.2, internal/cri/config).
func (c *Config) HostsDirectories() string {
	registry, _ := c.criImages()["registry"].(map[string]any)
	if path := text(registry["config_path"], ""); path != "" {
		return path
	}
	for _, name := range []string{"mirrors", "configs", "auths"} {
		if set, _ := registry[name].(map[string]any); len(set) > 0 {
			return ""
		}
	}
	return "/etc/containerd/certs.d:/etc/docker/certs.d"
}

// DiffersIn returns an error if the directories that exist in a list are not those of [Config.HostsDirectories].
func (c *Config) DiffersIn(hosts string) error {
	theirs := c.HostsDirectories()
	if slices.Equal(existing(hosts), existing(theirs)) {
		return nil
	}
	return fmt.Errorf("registry.config_path is %q, and containerd's is %q: signatures are fetched with other hosts.toml "+
		"files than images are pulled", hosts, theirs)
}

// existing returns the directories of a list that exist.
func existing(list string) (found []string) {
	for _, directory := range filepath.SplitList(list) {
		if info, err := os.Stat(directory); err == nil && info.IsDir() {
			found = append(found, filepath.Clean(directory))
		}
	}
	return found
}
