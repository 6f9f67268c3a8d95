package node

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// nodeConfig is what a node changes in the default configuration of a release: all its files are below the node's
// directory. Drop-ins are imported after it, in the order of their names. Without restrict_oom_score_adj no pod could
// start without CAP_SYS_RESOURCE. The transfer service, which pulls images, has its own copy of config_path.
const nodeConfig = `root = "DIRECTORY/root"
state = "DIRECTORY/state"
imports = ["DIRECTORY/conf.d/*.toml"]
[plugins."io.containerd.nri.v1.nri"]
  disable = DISABLE_NRI
  socket_path = "DIRECTORY/nri.sock"
  plugin_path = "DIRECTORY/nri/plugins"
  plugin_config_path = "DIRECTORY/nri/conf.d"
  [plugins."io.containerd.nri.v1.nri".default_validator]
    enable = true
    required_plugins = [REQUIRED]
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "SNAPSHOTTER"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "` + sandboxImage + `"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "DIRECTORY/certs.d"
[plugins."io.containerd.transfer.v1.local"]
  config_path = "DIRECTORY/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["DIRECTORY/cni/bin"]
  conf_dir = "DIRECTORY/cni/net.d"
[plugins."io.containerd.image-verifier.v1.bindir"]
  bin_dir = "DIRECTORY/verifiers"
[plugins."io.containerd.internal.v1.opt"]
  path = "DIRECTORY/opt"
`

// unpackConfig lets the transfer service unpack images for a snapshotter that is not its default.
const unpackConfig = `[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "PLATFORM"
  snapshotter = "SNAPSHOTTER"
`

// serverConfig has the sockets of containerd and of its shims. Version 4 of the configuration made plugins of its
// servers. containerd 2.2 always has the sockets of shims in /run/containerd/s.
const serverConfig = `[plugins."io.containerd.server.v1.grpc"]
  address = "DIRECTORY/containerd.sock"
[plugins."io.containerd.server.v1.ttrpc"]
  address = "DIRECTORY/containerd.sock.ttrpc"
[plugins."io.containerd.shim.v1.manager"]
  socket_dir = "DIRECTORY/s"
`

const serverConfig22 = `[grpc]
  address = "DIRECTORY/containerd.sock"
[ttrpc]
  address = "DIRECTORY/containerd.sock.ttrpc"
`

// containerdConfig returns the default configuration of a release with the settings of the node.
func (n *Node) containerdConfig(ctx context.Context, r release) ([]byte, error) {
	quoted := make([]string, len(n.config.RequiredPlugins))
	for i, plugin := range n.config.RequiredPlugins {
		quoted[i] = strconv.Quote(plugin)
	}
	servers := serverConfig
	if r.Release == Containerd22 {
		servers = serverConfig22
	}
	if n.config.Snapshotter != "" {
		servers += unpackConfig
	}
	settings := strings.NewReplacer(
		"DIRECTORY", n.directory.path, "DISABLE_NRI", strconv.FormatBool(n.config.DisableNRI),
		"REQUIRED", strings.Join(quoted, ", "), "SNAPSHOTTER", cmp.Or(n.config.Snapshotter, "overlayfs"),
		"PLATFORM", runtime.GOOS+"/"+runtime.GOARCH,
	).Replace(nodeConfig + servers)
	defaults, err := r.defaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	merged := map[string]any{}
	for _, text := range []string{defaults, settings} {
		document := map[string]any{}
		if err := toml.Unmarshal([]byte(text), &document); err != nil {
			return nil, fmt.Errorf("parsing a configuration of containerd: %w", err)
		}
		mergeTables(merged, document)
	}
	return toml.Marshal(merged)
}

// mergeTables sets the keys of a table in another one, and those of its tables in the tables of the same name.
func mergeTables(into, from map[string]any) {
	for key, value := range from {
		table, isTable := value.(map[string]any)
		if existing, exists := into[key].(map[string]any); isTable && exists {
			mergeTables(existing, table)
			continue
		}
		into[key] = value
	}
}
