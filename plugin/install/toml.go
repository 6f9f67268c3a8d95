package install

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// addedBy ends the line that is added to containerd's configuration.
const addedBy = " # added by countersign install"

// place is where a TOML document has a value or a table.
type place struct{ start, end int }

// document finds places in a TOML document.
type document struct {
	// values contains the places of strings and booleans, and elements those of the elements of lists, both by their
	// dotted keys.
	values   map[string]place
	elements map[string][]place
	// tables are the places of the names of tables, in brackets.
	tables map[string]place
	// first is where the first table begins, or the end of the document.
	first int
}

func scan(text []byte) (*document, error) {
	d := &document{map[string]place{}, map[string][]place{}, map[string]place{}, len(text)}
	parser := unstable.Parser{}
	parser.Reset(text)
	table := ""
	for parser.NextExpression() {
		expression := parser.Expression()
		switch expression.Kind {
		case unstable.Table, unstable.ArrayTable:
			name, at := keyOf(expression)
			table = name + "."
			d.tables[name] = at
			d.first = min(d.first, lineStart(text, at.start))
		case unstable.KeyValue:
			name, _ := keyOf(expression)
			d.value(table+name, expression.Value())
		default:
		}
	}
	return d, parser.Error()
}

func (d *document) value(name string, value *unstable.Node) {
	if value.Kind != unstable.Array {
		d.values[name] = rangeOf(value)
		return
	}
	elements := []place{}
	children := value.Children()
	for children.Next() {
		if child := children.Node(); child.Kind == unstable.String {
			elements = append(elements, rangeOf(child))
		}
	}
	d.elements[name] = elements
}

func rangeOf(node *unstable.Node) place {
	return place{int(node.Raw.Offset), int(node.Raw.Offset + node.Raw.Length)}
}

// keyOf returns a key with dots, and its place.
func keyOf(node *unstable.Node) (string, place) {
	var parts []string
	var at place
	keys := node.Key()
	for keys.Next() {
		part := keys.Node()
		if len(parts) == 0 {
			at.start = int(part.Raw.Offset)
		}
		at.end = int(part.Raw.Offset + part.Raw.Length)
		parts = append(parts, string(part.Data))
	}
	return strings.Join(parts, "."), at
}

func lineStart(text []byte, at int) int { return bytes.LastIndexByte(text[:at], '\n') + 1 }

// lineEnd returns where the next line begins.
func lineEnd(text []byte, at int) int {
	if end := bytes.IndexByte(text[at:], '\n'); end >= 0 {
		return at + end + 1
	}
	return len(text)
}

func splice(text []byte, at place, with string) []byte {
	return slices.Concat(text[:at.start], []byte(with), text[at.end:])
}

// setString sets a key of a table to a string, and changes nothing else in the document.
func setString(text []byte, table, key, value string) ([]byte, error) {
	d, err := scan(text)
	if err != nil {
		return nil, err
	}
	quoted := strconv.Quote(value)
	var changed []byte
	if at, found := d.values[table+"."+key]; found {
		changed = splice(text, at, quoted)
	} else if at, found := d.tables[table]; found {
		end := lineEnd(text, at.end)
		changed = splice(text, place{end, end}, key+" = "+quoted+"\n")
	} else {
		changed = fmt.Appendf(endLine(text), "\n[%s]\n%s = %s\n", table, key, quoted)
	}
	same, err := differsBy(text, changed, func(document map[string]any) {
		members, ok := document[table].(map[string]any)
		if !ok {
			members = map[string]any{}
			document[table] = members
		}
		members[key] = value
	})
	if err == nil && !same {
		err = fmt.Errorf("set %s = %s in [%s] by hand: its form is unusual", key, quoted, table)
	}
	return changed, err
}

// differsBy reports whether a changed text means what the text before means after an edit, and nothing else.
func differsBy(text, changed []byte, edit func(document map[string]any)) (bool, error) {
	want, err := decode(text)
	if err != nil {
		return false, err
	}
	edit(want)
	got, err := decode(changed)
	return err == nil && reflect.DeepEqual(got, want), nil
}

// endLine ends the last line of a text.
func endLine(text []byte) []byte {
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return append(slices.Clone(text), '\n')
	}
	return slices.Clone(text)
}

// addImport adds a pattern to the imports of containerd's configuration, and changes nothing else in it.
func addImport(text []byte, pattern string) ([]byte, error) {
	text = endLine(text)
	d, err := scan(text)
	if err != nil {
		return nil, err
	}
	quoted := strconv.Quote(pattern)
	elements, found := d.elements["imports"]
	var changed []byte
	switch {
	case !found:
		at := firstLine(text, d.first)
		changed = splice(text, place{at, at}, "imports = ["+quoted+"]"+addedBy+"\n")
	case len(elements) > 0:
		end := elements[len(elements)-1].end
		changed = splice(text, place{end, end}, ", "+quoted)
	default:
		return nil, errors.New(`imports is an empty list: add "` + pattern + `" to it, or remove the line`)
	}
	same, err := differsBy(text, changed, func(document map[string]any) {
		imports, _ := document["imports"].([]any)
		document["imports"] = append(imports, pattern)
	})
	if err == nil && !same {
		err = fmt.Errorf("add %s to imports by hand: the form of the file is unusual", quoted)
	}
	return changed, err
}

// firstLine returns where a line can be added before the first table: above the comment that belongs to it.
func firstLine(text []byte, at int) int {
	for at > 0 {
		line := lineStart(text, at-1)
		if !bytes.HasPrefix(bytes.TrimSpace(text[line:at]), []byte("#")) {
			break
		}
		at = line
	}
	return at
}

// removeImport undoes [addImport] in a document that has been changed since.
func removeImport(text []byte, pattern string) ([]byte, error) {
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte(addedBy)) {
			return bytes.Replace(text, line, nil, 1), nil
		}
	}
	d, err := scan(text)
	if err != nil {
		return nil, err
	}
	elements := d.elements["imports"]
	for i, element := range elements {
		unquoted := strings.Trim(string(text[element.start:element.end]), `"'`)
		if unquoted != pattern {
			continue
		}
		if i > 0 {
			element.start = elements[i-1].end
		} else if len(elements) > 1 {
			element.end = elements[1].start
		}
		return splice(text, element, ""), nil
	}
	return text, nil
}

func decode(text []byte) (map[string]any, error) {
	document := make(map[string]any)
	err := toml.Unmarshal(text, &document)
	return document, err
}
