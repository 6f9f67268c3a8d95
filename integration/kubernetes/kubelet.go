package kubernetes

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"

	"github.com/countersign/countersign/integration/node"
)

// kubeletArguments writes the kubelet's configuration, and returns the arguments that name it.
func (c *Cluster) kubeletArguments(ctx context.Context) ([]string, error) {
	port, err := node.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	configuration := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"containerRuntimeEndpoint": "unix://" + c.ContainerdSocket(),
		"address":                  "127.0.0.1", "port": port, "healthzPort": 0, "readOnlyPort": 0,
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": true}, "webhook": map[string]any{"enabled": false},
		},
		"authorization": map[string]any{"mode": "AlwaysAllow"},
		"staticPodPath": c.StaticPodDirectory(), "volumePluginDir": c.path("volume-plugins"),
		"podLogsDir": c.path("pod-logs"),
		// Pods share the host's resources and names: the machine that runs the tests is not a dedicated node.
		"failCgroupV1": false, "failSwapOn": false, "cgroupDriver": "cgroupfs", "cgroupsPerQOS": false,
		"enforceNodeAllocatable": []string{}, "resolvConf": "", "imageGCHighThresholdPercent": 100,
		"featureGates": map[string]bool{"KubeletInUserNamespace": true},
		"evictionHard": map[string]string{
			"memory.available": "1Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
		},
		// Tests wait for what the kubelet does, so it acts more often than by default.
		"syncFrequency": "1s", "fileCheckFrequency": "1s", "nodeStatusUpdateFrequency": "1s",
	}
	if c.config.ImageService != "" {
		configuration["imageServiceEndpoint"] = "unix://" + c.config.ImageService
	}
	maps.Copy(configuration, c.config.Kubelet)
	contents, err := json.Marshal(configuration)
	if err != nil {
		return nil, err
	}
	path := c.path("kubelet.json")
	if err := os.WriteFile(path, contents, 0o600); err != nil {
		return nil, err
	}
	return append([]string{
		"--config=" + path, "--kubeconfig=" + c.path("kubeconfig"), "--hostname-override=" + NodeName,
		"--root-dir=" + c.path("kubelet"), "--cert-dir=" + filepath.Join(c.path("kubelet"), "pki"),
	}, c.config.KubeletArguments...), nil
}
