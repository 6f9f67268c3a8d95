package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
)

// reloadable are the keys, and tables of keys, whose values a running daemon can replace. All others belong to
// resources that are opened once: sockets, addresses and directories.
func reloadable() []string {
	return []string{
		"enforce.mode", "enforce.decision_timeout", "enforce.insecure_remote_snapshotters", "enforce.namespaces",
		"enforce.running", "enforce.running_grace_period", "enforce.running_namespaces",
		"pull.timeout", "pull.on_daemon_unavailable", "bundles.identity", "bundles.namespaces", "log.level",
	}
}

// Reload reads the configuration again, from the file of the running one. It returns the configuration to continue
// with: the new values of reloadable keys, and the running values of all others. applied and restart are the keys that
// changed in the file: those that were replaced, and those that need a restart. With an error nothing changes.
func Reload(running *Config, path string) (next *Config, applied, restart []string, err error) {
	if path == "" && running.File != "" {
		if _, err := os.Lstat(DefaultPath); errors.Is(err, fs.ErrNotExist) {
			return nil, nil, nil, fmt.Errorf("reading configuration: %w", err)
		}
	}
	written, err := Read(path)
	if err != nil {
		return nil, nil, nil, err
	}
	merged := *running
	merged.File = written.File
	old, given, to := reflect.ValueOf(*running), reflect.ValueOf(*written), reflect.ValueOf(&merged).Elem()
	for i := range old.NumField() {
		table := old.Type().Field(i)
		if table.Type.Kind() != reflect.Struct {
			continue
		}
		for j := range table.Type.NumField() {
			key := join(table.Tag.Get("toml"), table.Type.Field(j).Tag.Get("toml"))
			now := given.Field(i).Field(j)
			switch {
			case equal(old.Field(i).Field(j), now):
			case slices.Contains(reloadable(), key):
				to.Field(i).Field(j).Set(now)
				applied = append(applied, key)
			default:
				restart = append(restart, key)
			}
		}
	}
	return &merged, applied, restart, nil
}

// equal compares values. A nil map equals an empty one.
func equal(a, b reflect.Value) bool {
	if a.Kind() == reflect.Map && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
