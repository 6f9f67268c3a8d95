package main

import (
	"context"
	"log/slog"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/policy/evidence"
)

// warnOfRegistries says at start which part of the node's configuration of registries is not as config.toml has it.
// containerd's own default names a directory that most nodes do not have: where nothing else is configured, that is
// worth no word.
func warnOfRegistries(ctx context.Context, config *conf.Config, reached *evidence.Fetcher, log *slog.Logger) {
	for _, problem := range reached.Problems() {
		log.WarnContext(ctx, "a file of the node's registry configuration cannot be used", "error", problem)
	}
	if config.Registry.ConfigPath == conf.Default().Registry.ConfigPath {
		return
	}
	for _, directory := range reached.MissingHostsDirectories() {
		log.WarnContext(ctx, "a directory of registry.config_path does not exist: no hosts.toml is read from it",
			"directory", directory)
	}
}
