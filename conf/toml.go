package conf

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// TOML returns a configuration as a config.toml with every key. [Parse] reads it back.
func TOML(config *Config) (string, error) {
	var b strings.Builder
	root := reflect.ValueOf(config).Elem()
	for field, value := range root.Fields() {
		name := field.Tag.Get("toml")
		if name == "-" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		if err := formatTable(&b, name, value); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// formatTable writes a table, and then its tables.
func formatTable(b *strings.Builder, name string, table reflect.Value) error {
	fmt.Fprintf(b, "[%s]\n", name)
	var inner []reflect.StructField
	for field, value := range table.Fields() {
		if field.Type.Kind() == reflect.Map {
			inner = append(inner, field)
			continue
		}
		if err := formatValue(b, field.Tag.Get("toml"), value); err != nil {
			return err
		}
	}
	for _, field := range inner {
		fmt.Fprintf(b, "\n[%s.%s]\n", name, field.Tag.Get("toml"))
		entries := map[string]reflect.Value{}
		for key, value := range table.FieldByIndex(field.Index).Seq2() {
			entries[key.String()] = value
		}
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			if err := formatValue(b, key, entries[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// formatValue writes one key. All values are strings, booleans or numbers; the library quotes what has to be.
func formatValue(b *strings.Builder, key string, value reflect.Value) error {
	written := value.Interface()
	switch written.(type) {
	case bool, int, float64:
	default:
		written = fmt.Sprint(written)
	}
	line, err := toml.Marshal(map[string]any{key: written})
	if err != nil {
		return fmt.Errorf("writing %s: %w", key, err)
	}
	b.Write(line)
	return nil
}
