package conf

import (
	"reflect"
	"slices"
	"strings"
)

// Key describes one key of config.toml.
type Key struct {
	// Name is the key with its table, such as "policy.system".
	Name string
	// Default is its default value as in TOML; empty for a table.
	Default string
	// Meaning is the comment in the file that is installed, as one line.
	Meaning string
	// Reloadable reports whether a running daemon can replace its value.
	Reloadable bool
}

// Keys describes all keys of config.toml, in the order of the file that is installed.
func Keys() ([]Key, error) {
	raw, err := files.ReadFile("config.toml")
	if err != nil {
		return nil, err
	}
	comments := commentsOf(string(raw))
	var keys []Key
	for table, values := range reflect.ValueOf(Default()).Elem().Fields() {
		if table.Type.Kind() != reflect.Struct {
			continue
		}
		for field, value := range values.Fields() {
			name := join(table.Tag.Get("toml"), field.Tag.Get("toml"))
			initial, err := initialValue(value)
			if err != nil {
				return nil, err
			}
			keys = append(keys, Key{name, initial, comments[name], slices.Contains(reloadable(), name)})
		}
	}
	return keys, nil
}

// initialValue returns a default as in TOML; that of a table is empty.
func initialValue(value reflect.Value) (string, error) {
	if value.Kind() == reflect.Map {
		return "", nil
	}
	var line strings.Builder
	err := formatValue(&line, "key", value)
	return strings.TrimSpace(strings.TrimPrefix(line.String(), "key = ")), err
}

// commentsOf returns the comment above each key, and above the header of each table, of a configuration.
func commentsOf(text string) map[string]string {
	comments := make(map[string]string)
	var comment []string
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if of, isComment := strings.CutPrefix(line, "# "); isComment {
			comment = append(comment, of)
			continue
		}
		if name, isTable := strings.CutPrefix(line, "["); isTable {
			table = strings.TrimSuffix(name, "]")
			comments[table] = strings.Join(comment, " ")
		} else if name, _, isKey := strings.Cut(line, " = "); isKey {
			comments[join(table, name)] = strings.Join(comment, " ")
		}
		comment = nil
	}
	return comments
}
