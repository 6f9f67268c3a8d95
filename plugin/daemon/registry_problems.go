package daemon

import (
	"context"

	"github.com/countersign/countersign/conf"
	evidencefetch "github.com/countersign/countersign/policy/evidence/fetch"
)

// logRegistryProblems logs at start which files of the node's registry configuration cannot be used. It does not log
// missing directories of registry.config_path if that has its default (containerd's): most nodes do not have them.
func (d *daemon) logRegistryProblems(ctx context.Context, registries *evidencefetch.Fetcher) {
	for _, problem := range registries.Problems() {
		d.log.WarnContext(ctx, "a file of the node's registry configuration cannot be used", "error", problem)
	}
	if d.config.Registry.ConfigPath == conf.Default().Registry.ConfigPath {
		return
	}
	for _, directory := range registries.MissingHostsDirectories() {
		d.log.WarnContext(ctx, "a directory of registry.config_path does not exist: no hosts.toml is read from it",
			"directory", directory)
	}
}

// checkHosts logs once if signatures are fetched with other hosts.toml files than images are pulled. Directories that
// do not exist make no difference.
func (s *containerdStatus) checkHosts(ctx context.Context) {
	theirs := s.config.HostsDirectories()
	if theirs == s.containerdHosts {
		return
	}
	s.containerdHosts = theirs
	if s.config.DiffersIn(s.hosts) == nil {
		return
	}
	s.log.WarnContext(ctx, "registry.config_path differs from containerd's setting: "+
		"signatures are fetched with other hosts.toml files than images are pulled",
		"config_path", s.hosts, "containerd", theirs)
}
