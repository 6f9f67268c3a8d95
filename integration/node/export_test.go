package node

import (
	"context"
	"io"
)

// ProcessesOf lists the processes that belong to a node's directory.
func ProcessesOf(path string) []int { return processesOf(path) }

// CgroupRoots finds the cgroups of a node's directory.
func CgroupRoots(path string) []string { return cgroupRoots(cgroupOf(path)) }

// BuildWitness builds the only program whose source is in this repository.
func BuildWitness(ctx context.Context, repository string, progress io.Writer) (*Tools, error) {
	list := tools()
	return buildTools(ctx, repository, list[len(list)-1:], progress)
}

// Compiler finds or installs a C compiler.
func Compiler(ctx context.Context, progress io.Writer) (string, error) {
	return compiler(ctx, progress)
}

// MissingModule returns the cause if a build failed because it could not download a module.
func MissingModule(text string) string { return missingModule(text) }
