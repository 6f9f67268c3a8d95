package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/containerd/containerd/v2/core/introspection"
)

// defaultConfig is the file that containerd reads if its command line names none.
const defaultConfig = "/etc/containerd/config.toml"

// Config is containerd's configuration, merged from its main file and its imports.
type Config struct {
	// path is the path of the main file.
	path string
	// files are all files, if they are known.
	files  []string
	merged *config.Config
}

// ReadConfig reads the configuration files that the running containerd was started with, merged as containerd merges
// them: a drop-in whose name sorts later may replace the list of required plugins, and only the merged configuration
// shows it.
func ReadConfig(ctx context.Context, address string) (*Config, error) {
	containerd, err := Connect(ctx, address, "")
	if err != nil {
		return nil, err
	}
	defer containerd.Close()
	path, err := configPath(ctx, containerd.IntrospectionService())
	if err != nil {
		return nil, fmt.Errorf("finding containerd's configuration: %w", err)
	}
	return LoadConfig(ctx, path)
}

// ConfigPath returns the main configuration file of the containerd that listens at an address.
func ConfigPath(ctx context.Context, address string) (string, error) {
	containerd, err := Connect(ctx, address, "")
	if err != nil {
		return "", err
	}
	defer containerd.Close()
	return configPath(ctx, containerd.IntrospectionService())
}

// LoadConfig reads the configuration whose main file is at path.
func LoadConfig(ctx context.Context, path string) (*Config, error) {
	merged := &config.Config{}
	if err := config.LoadConfig(ctx, path, merged); err != nil {
		return nil, fmt.Errorf("reading containerd's configuration %s: %w", path, err)
	}
	return &Config{path: path, merged: merged}, nil
}

// plugin returns the section of one plugin, by its full name.
func (c *Config) plugin(name string) map[string]any {
	section, _ := c.merged.Plugins[name].(map[string]any)
	return section
}

// configPath asks the running containerd for its process ID, and reads the command line of that process.
func configPath(ctx context.Context, service introspection.Service) (string, error) {
	server, err := service.Server(ctx)
	if err != nil {
		return "", fmt.Errorf("requesting containerd's process ID: %w", err)
	}
	if own, err := os.Stat("/proc/self/ns/pid"); err == nil && inode(own) != server.GetPidns() {
		return "", errors.New("containerd runs in another PID namespace, where its command line cannot be read")
	}
	process := fmt.Sprintf("/proc/%d", server.GetPid())
	cmdline, err := os.ReadFile(filepath.Join(process, "cmdline"))
	if err != nil {
		return "", fmt.Errorf("reading containerd's command line: %w", err)
	}
	path := configFlag(strings.Split(string(bytes.TrimRight(cmdline, "\x00")), "\x00"))
	if filepath.IsAbs(path) {
		return path, nil
	}
	working, err := os.Readlink(filepath.Join(process, "cwd"))
	if err != nil {
		return "", fmt.Errorf("finding containerd's working directory: %w", err)
	}
	return filepath.Join(working, path), nil
}

func inode(info os.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino
	}
	return 0
}

// configFlag returns the value of --config; containerd uses the last one.
func configFlag(arguments []string) string {
	path := defaultConfig
	for i, argument := range arguments {
		name, value, hasValue := strings.Cut(argument, "=")
		if !slices.Contains([]string{"-c", "-config", "--config", "--c"}, name) {
			continue
		}
		if hasValue {
			path = value
		} else if i+1 < len(arguments) {
			path = arguments[i+1]
		}
	}
	return path
}

// Required returns nil if containerd refuses containers while an NRI plugin is not registered, or why it does not. The
// plugin may be required by its name or by its index and name.
func (c *Config) Required(index, name string) error {
	const advice = "; install 99-countersign.toml as the last import, with every required plugin in its list"
	section := c.plugin(nriPlugin)
	if section == nil {
		return fmt.Errorf("%s and its imports do not configure NRI%s", c.path, advice)
	}
	if disabled, _ := section["disable"].(bool); disabled {
		return fmt.Errorf("%s and its imports disable NRI: containers start unchecked", c.path)
	}
	validator, _ := section["default_validator"].(map[string]any)
	if enabled, _ := validator["enable"].(bool); !enabled {
		return fmt.Errorf("%s and its imports do not enable NRI's default_validator%s", c.path, advice)
	}
	required, _ := validator["required_plugins"].([]any)
	if !slices.Contains(required, any(name)) && !slices.Contains(required, any(index+"-"+name)) {
		return fmt.Errorf("required_plugins of %s and its imports is %v, without %q%s", c.path, required, name, advice)
	}
	if annotation, _ := validator["tolerate_missing_plugins_annotation"].(string); annotation != "" {
		return errors.New("tolerate_missing_plugins_annotation is set: the author of a pod can opt out of required plugins")
	}
	return nil
}
