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

// DefaultConfig is the file that containerd reads if its command line names none.
const DefaultConfig = "/etc/containerd/config.toml"

// Config is containerd's configuration, merged from its main file and its imports.
type Config struct {
	// path is the path of the main file.
	path string
	// files are all files, if they are known, and lists what each of them requires.
	files  []string
	lists  []list
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

// Path returns the path of the main file.
func (c *Config) Path() string { return c.path }

// plugin returns the section of one plugin, by its full name.
func (c *Config) plugin(name string) map[string]any {
	section, _ := c.merged.Plugins[name].(map[string]any)
	return section
}

// processOf asks the running containerd for its process ID, and returns the directory of that process in /proc.
func processOf(ctx context.Context, service introspection.Service) (string, error) {
	server, err := service.Server(ctx)
	if err != nil {
		return "", fmt.Errorf("requesting containerd's process ID: %w", err)
	}
	if own, err := os.Stat("/proc/self/ns/pid"); err == nil && inode(own) != server.GetPidns() {
		return "", errors.New("containerd runs in another PID namespace, where its command line cannot be read")
	}
	return fmt.Sprintf("/proc/%d", server.GetPid()), nil
}

// configPath returns the main file in the command line of the running containerd.
func configPath(ctx context.Context, service introspection.Service) (string, error) {
	process, err := processOf(ctx, service)
	if err != nil {
		return "", err
	}
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
	path := DefaultConfig
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
