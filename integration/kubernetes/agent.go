package kubernetes

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"

	"github.com/countersign/countersign/integration/node"
)

// BuildAgent builds countersign-agent into a directory and returns its path.
func BuildAgent(ctx context.Context, directory string, progress io.Writer) (string, error) {
	return buildOfAgent(ctx, "countersign-agent", directory, progress)
}

// BuildSimulation builds the program that plays the agents of many nodes.
func BuildSimulation(ctx context.Context, directory string, progress io.Writer) (string, error) {
	return buildOfAgent(ctx, "report/simulate", directory, progress)
}

func buildOfAgent(ctx context.Context, program, directory string, progress io.Writer) (string, error) {
	repository, err := node.Repository()
	if err != nil {
		return "", err
	}
	path := filepath.Join(directory, filepath.Base(program))
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./"+program)
	build.Dir, build.Stdout, build.Stderr = filepath.Join(repository, "plugin", "agent"), progress, progress
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("building %s: %w", program, err)
	}
	return path, nil
}
