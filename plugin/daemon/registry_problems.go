package daemon

import (
	"context"

	"github.com/countersign/countersign/conf"
	evidencefetch "github.com/countersign/countersign/policy/evidence/fetch"
)

// logRegistryProblems logs at the start which files of the node's registry configuration cannot be used. The default of
// registry.config_path, which is containerd's, has directories that most nodes do not have: their absence is not
// logged.
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
