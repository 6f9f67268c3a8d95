package main

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/store"
)

// completionTimeout limits how long a shell waits for names of images.
const completionTimeout = time.Second

// choicesFunc returns what an argument may be, on the node with that configuration.
type choicesFunc func(context.Context, *conf.Config) []string

// addCompletions adds what shells complete, besides commands and flags: namespaces, references of images on this node,
// stored evidence and formats of output. An incomplete list is no error, because a shell could not show one.
func addCompletions(command *cobra.Command) {
	for _, child := range command.Commands() {
		addCompletions(child)
	}
	complete := func(flag string, choices choicesFunc) {
		if command.Flags().Lookup(flag) != nil {
			// The only error is a flag that has one already.
			_ = command.RegisterFlagCompletionFunc(flag, completion(choices))
		}
	}
	complete("namespace", namespaces)
	if flag := command.Flags().Lookup("output"); flag != nil && strings.HasPrefix(flag.Usage, "text or json") {
		complete("output", func(context.Context, *conf.Config) []string { return []string{"text", "json"} })
	}
	if command.ValidArgsFunction != nil || !strings.Contains(command.Use, "REFERENCE") {
		return
	}
	command.ValidArgsFunction = completion(imageNames)
	if command.Parent() != nil && command.Parent().Name() == "evidence" && command.Name() != "fetch" {
		command.ValidArgsFunction = completion(storedEvidence)
	}
}

// completion is a completion of cobra for choices.
func completion(choices choicesFunc) cobra.CompletionFunc {
	return func(command *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		path := ""
		if flag := command.Flag("config"); flag != nil {
			path = flag.Value.String()
		}
		config, err := conf.Read(path)
		if err != nil {
			config = conf.Default()
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
		defer cancel()
		return choices(ctx, config), cobra.ShellCompDirectiveNoFileComp
	}
}

// namespaces returns the namespaces that have a document, and those that the configuration names.
func namespaces(_ context.Context, config *conf.Config) []string {
	found := map[string]bool{}
	entries, _ := os.ReadDir(config.Policy.Directory)
	for _, entry := range entries {
		if name, isDocument := strings.CutSuffix(entry.Name(), ".json"); isDocument && policy.ValidNamespace(name) {
			found[name] = true
		}
	}
	for name := range config.Enforce.Namespaces {
		found[name] = true
	}
	for name := range config.Bundles.Namespaces {
		found[name] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// imageNames returns the references of the images on this node.
func imageNames(ctx context.Context, config *conf.Config) (names []string) {
	connection, err := containerd.Connect(ctx, config.Containerd.Address, config.Containerd.Namespace)
	if err != nil {
		return nil
	}
	defer connection.Close()
	images, _ := connection.ListImages(ctx)
	for _, image := range images {
		if !strings.HasPrefix(image.Name(), "sha256:") {
			names = append(names, image.Name())
		}
	}
	slices.Sort(names)
	return names
}

// storedEvidence returns the repositories and the manifests of which evidence is stored.
func storedEvidence(_ context.Context, config *conf.Config) []string {
	stored, _ := store.List(config.Evidence.Directory)
	found := map[string]bool{}
	for _, info := range stored {
		if info.Repository != "" {
			found[info.Repository] = true
			found[info.Repository+"@"+info.Manifest.String()] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
