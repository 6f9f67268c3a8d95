package main

import (
	"context"
	"fmt"
	"net"

	"github.com/containerd/containerd/v2/client"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/registry"
)

// connect returns a client of a containerd that is there. Without the first look the client would wait ten seconds for
// one that is not.
func connect(ctx context.Context, address, namespace string) (*client.Client, error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to containerd: %w", err)
	}
	_ = connection.Close()
	containerd, err := client.New(address, client.WithDefaultNamespace(namespace))
	if err != nil {
		return nil, fmt.Errorf("connecting to containerd: %w", err)
	}
	return containerd, nil
}

// containerdVersion asks containerd for its version.
func containerdVersion(address string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		containerd, err := connect(ctx, address, "")
		if err != nil {
			return "", err
		}
		defer containerd.Close()
		version, err := containerd.Version(ctx)
		if err != nil {
			return "", fmt.Errorf("asking containerd for its version: %w", err)
		}
		return version.Version, nil
	}
}

// registries returns the registries as this node reaches them.
func registries(config *conf.Config, requested func(string, registry.Result)) *evidence.Fetcher {
	return evidence.NewFetcher(evidence.FetcherConfig{
		Registries: registry.New(registry.Config{
			HostsDirectory:              config.Registry.ConfigPath,
			AuthFile:                    config.Registry.AuthFile,
			CredentialProviderConfig:    config.Registry.CredentialProviderConfig,
			CredentialProviderDirectory: config.Registry.CredentialProviderDirectory,
			Requested:                   requested,
		}),
		Lookaside: config.Registry.Lookaside,
	})
}
