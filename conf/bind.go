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

// binder sets the fields of a [Config] from a file and collects the problems. The library's own decoder stops at the
// first value of a wrong type, and an operator should not have to start the daemon once per mistake.
type binder struct {
	path      string
	positions map[string]position
	problems  Problems
}

// problem records what is wrong with the value of a key. Keys are written with dots, as in "policy.system".
func (b *binder) problem(key, format string, args ...any) {
	at := b.positions[key]
	b.problems = append(b.problems, Problem{b.path, at.line, at.column, fmt.Sprintf(format, args...)})
}

func (b *binder) bind(raw []byte, config *Config) {
	tree := make(map[string]any)
	if err := toml.Unmarshal(raw, &tree); err != nil {
		b.syntax(err)
		return
	}
	b.positions = keyPositions(raw)
	b.table("", reflect.ValueOf(config).Elem(), tree)
	b.validate(config)
}

// syntax records that the file is not TOML. It is then the only problem, because nothing else of the file is known.
func (b *binder) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "toml: ") + "; see https://toml.io"
	problem := Problem{Path: b.path, Line: 1, Column: 1, Text: text}
	if decode := new(toml.DecodeError); errors.As(err, &decode) {
		problem.Line, problem.Column = decode.Position()
	}
	b.problems = append(b.problems, problem)
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
			b.problem(key, "unknown key %s; remove or correct it; known keys: %s", key, known)
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
		b.problem(key, "%s is %s; it must be a table: [%s]", key, typeName(value), key)
	}
	return tree, ok
}

// entries sets a map with arbitrary keys.
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

// scalar sets a value. All values but booleans and numbers are written as strings.
func (b *binder) scalar(key string, target reflect.Value, value any) {
	switch field := target.Addr().Interface().(type) {
	case *bool:
		var ok bool
		if *field, ok = value.(bool); !ok {
			b.problem(key, "%s is %s; it must be true or false, without quotes", key, typeName(value))
		}
		return
	case *int:
		number, ok := value.(int64)
		if *field = int(number); !ok {
			b.problem(key, "%s is %s; it must be a whole number, without quotes", key, typeName(value))
		}
		return
	}
	if field, isFloat := reflect.TypeAssert[*float64](target.Addr()); isFloat {
		b.float(key, field, value)
		return
	}
	text, ok := value.(string)
	if !ok {
		b.problem(key, "%s is %s; it must be a string: put it in quotes", key, typeName(value))
		return
	}
	var err error
	switch field := target.Addr().Interface().(type) {
	case *string:
		*field = text
	case *time.Duration:
		err = setDuration(field, text)
	case encoding.TextUnmarshaler:
		err = field.UnmarshalText([]byte(text))
	default:
		err = fmt.Errorf("values of type %s cannot be read; this is a bug in countersign", target.Type())
	}
	if err != nil {
		b.problem(key, "%s: %v", key, err)
	}
}

// float sets a number, which TOML may write without a fraction.
func (b *binder) float(key string, target *float64, value any) {
	switch number := value.(type) {
	case float64:
		*target = number
	case int64:
		*target = float64(number)
	default:
		b.problem(key, "%s is %s; it must be a number, without quotes", key, typeName(value))
	}
}

// setDuration sets a duration. An invalid one leaves the default, which no later check objects to.
func setDuration(target *time.Duration, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf(`%q is not a duration; write a number and a unit, like "250ms"`, text)
	}
	*target = d
	return nil
}

// typeName returns what TOML calls the type of a value.
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
