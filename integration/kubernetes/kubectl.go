package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// Kubectl runs kubectl and returns its standard output.
func (c *Cluster) Kubectl(ctx context.Context, arguments ...string) (string, error) {
	return c.kubectl(ctx, nil, arguments...)
}

// Apply applies objects, which are marshalled as JSON.
func (c *Cluster) Apply(ctx context.Context, objects ...any) error {
	var input bytes.Buffer
	for _, object := range objects {
		if err := json.NewEncoder(&input).Encode(object); err != nil {
			return fmt.Errorf("applying an object: %w", err)
		}
	}
	_, err := c.kubectl(ctx, &input, "apply", "-f", "-")
	return err
}

// Check has the API server validate an object, without creating it. arguments are further ones of kubectl create.
func (c *Cluster) Check(ctx context.Context, object any, arguments ...string) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("validating an object: %w", err)
	}
	arguments = append([]string{"create", "--dry-run=server", "-f", "-"}, arguments...)
	_, err = c.kubectl(ctx, bytes.NewBuffer(raw), arguments...)
	return err
}

func (c *Cluster) kubectl(ctx context.Context, input *bytes.Buffer, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, c.config.Tools.Path("kubectl"), arguments...)
	command.Env = []string{"KUBECONFIG=" + c.path("kubeconfig"), "HOME=" + c.path()}
	if input != nil {
		command.Stdin = input
	}
	var output, problem bytes.Buffer
	command.Stdout, command.Stderr = &output, &problem
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(problem.String()))
	}
	return strings.TrimSpace(output.String()), nil
}
