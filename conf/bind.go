package conf

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// binder sets the fields of a [Config] from a file and collects what is wrong. The library's own decoder stops at the
// first value of a wrong type, and an operator should not have to start the daemon once for each of his mistakes.
type binder struct {
	path   string
	lines  map[string]int
	faults Faults
}

// fault notes what is wrong with the value at a key. Keys are written with dots, as in "policy.system".
func (b *binder) fault(key, format string, args ...any) {
	problem := fmt.Sprintf(format, args...)
	b.faults = append(b.faults, Fault{Path: b.path, Line: b.lines[key], Problem: problem})
}

func (b *binder) bind(raw []byte, config *Config) {
	tree := make(map[string]any)
	if err := toml.Unmarshal(raw, &tree); err != nil {
		b.syntax(err)
		return
	}
	b.lines = keyLines(raw)
	b.table("", reflect.ValueOf(config).Elem(), tree)
	b.validate(config)
}

// syntax notes that the file is no TOML. After that nothing else can be said about it.
func (b *binder) syntax(err error) {
	fault := Fault{Path: b.path, Problem: strings.TrimPrefix(err.Error(), "toml: ") + "; see https://toml.io"}
	if decode := new(toml.DecodeError); errors.As(err, &decode) {
		fault.Line, _ = decode.Position()
	}
	b.faults = append(b.faults, fault)
}

// table sets the fields of a struct from a table of the file.
func (b *binder) table(prefix string, target reflect.Value, tree map[string]any) {
	fields := make(map[string]reflect.Value, target.NumField())
	for i := range target.NumField() {
		if name := target.Type().Field(i).Tag.Get("toml"); name != "-" {
			fields[name] = target.Field(i)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		key := join(prefix, name)
		field, known := fields[name]
		if !known {
			known := strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
			b.fault(key, "unknown key %s; remove or correct it; known here are: %s", key, known)
			continue
		}
		b.value(key, field, tree[name])
	}
}

// value sets one field, whatever its type.
func (b *binder) value(key string, target reflect.Value, value any) {
	switch target.Kind() {
	case reflect.Struct:
		if tree, ok := b.tree(key, value); ok {
			b.table(key, target, tree)
		}
	case reflect.Map:
		if tree, ok := b.tree(key, value); ok {
			b.entries(key, target, tree)
		}
	default:
		b.scalar(key, target, value)
	}
}

func (b *binder) tree(key string, value any) (map[string]any, bool) {
	tree, ok := value.(map[string]any)
	if !ok {
		b.fault(key, "%s is %s; it must be a table: [%s]", key, typeName(value), key)
	}
	return tree, ok
}

// entries sets a map whose keys the operator chooses.
func (b *binder) entries(key string, target reflect.Value, tree map[string]any) {
	if len(tree) == 0 {
		return
	}
	entries := reflect.MakeMapWithSize(target.Type(), len(tree))
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		entry := reflect.New(target.Type().Elem()).Elem()
		b.value(join(key, name), entry, tree[name])
		entries.SetMapIndex(reflect.ValueOf(name), entry)
	}
	target.Set(entries)
}

// scalar sets a value that is written as a string, as all of them are.
func (b *binder) scalar(key string, target reflect.Value, value any) {
	text, ok := value.(string)
	if !ok {
		b.fault(key, "%s is %s; it must be a string: put it in quotes", key, typeName(value))
		return
	}
	var err error
	switch field := target.Addr().Interface().(type) {
	case *string:
		*field = text
	case *time.Duration:
		*field, err = duration(text)
	case encoding.TextUnmarshaler:
		err = field.UnmarshalText([]byte(text))
	default:
		err = fmt.Errorf("values of type %s cannot be read; this is a fault of countersign's", target.Type())
	}
	if err != nil {
		b.fault(key, "%s: %v", key, err)
	}
}

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf(`%q is no duration; write a number and a unit, like "250ms"`, text)
	}
	return d, nil
}

// typeName says what TOML calls the type of a value.
func typeName(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	default:
		return "a date or time"
	}
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}
