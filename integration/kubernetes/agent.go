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
	repository, err := node.Repository()
	if err != nil {
		return "", err
	}
	path := filepath.Join(directory, "countersign-agent")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./countersign-agent")
	build.Dir, build.Stdout, build.Stderr = filepath.Join(repository, "plugin", "agent"), progress, progress
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("building the agent: %w", err)
	}
	return path, nil
}
