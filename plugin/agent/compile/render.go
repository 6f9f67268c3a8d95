package compile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// The indentation of documents. A requirement is in a list of a scope of a transport.
const (
	indent        = "  "
	scopeIndent   = indent + indent + indent
	elementIndent = scopeIndent + indent
)

// frame is what the documents of a node have in common: all but the scopes of images.
type frame struct{ before, after []byte }

// noScopes is the transport without scopes, as it is written in a document. It occurs there once, because strings in
// JSON contain no line break.
const noScopes = "\n" + indent + indent + `"` + transport + `": {}`

func newFrame(defaults []json.RawMessage, transports map[string]map[string][]json.RawMessage) (frame, error) {
	all := maps.Clone(transports)
	if all == nil {
		all = map[string]map[string][]json.RawMessage{}
	}
	all[transport] = map[string][]json.RawMessage{}
	var text bytes.Buffer
	encoder := newEncoder(&text)
	encoder.SetIndent("", indent)
	err := encoder.Encode(struct {
		Default    []json.RawMessage                       `json:"default"`
		Transports map[string]map[string][]json.RawMessage `json:"transports"`
	}{defaults, all})
	if err != nil {
		return frame{}, fmt.Errorf("encoding a document: %w", err)
	}
	at := bytes.Index(text.Bytes(), []byte(noScopes)) + len(noScopes) - 1
	return frame{before: text.Bytes()[:at], after: text.Bytes()[at:]}, nil
}

// newEncoder returns an encoder that leaves <, > and & as they are.
func newEncoder(to *bytes.Buffer) *json.Encoder {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	return encoder
}

// indented returns JSON as it is written where its lines begin with a prefix.
func indented(raw json.RawMessage, prefix string) ([]byte, error) {
	var compact, text bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return nil, fmt.Errorf("encoding a requirement: %w", err)
	}
	if err := json.Indent(&text, compact.Bytes(), prefix, indent); err != nil {
		return nil, fmt.Errorf("encoding a requirement: %w", err)
	}
	return bytes.Clone(text.Bytes()), nil
}

// quoted returns a string in JSON.
func quoted(s string) ([]byte, error) {
	var text bytes.Buffer
	if err := newEncoder(&text).Encode(s); err != nil {
		return nil, fmt.Errorf("encoding scope %q: %w", s, err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// with returns the document with these scopes. Its bytes are those of [json.Encoder], which would read and indent each
// requirement again.
func (f frame) with(all scopes) ([]byte, error) {
	size := len(f.before) + len(f.after)
	for scope, list := range all {
		size += len(scope) + len(scopeIndent)*2 + 12
		for _, requirement := range list {
			size += len(elementIndent) + len(requirement.text) + 2
		}
	}
	document := bytes.NewBuffer(make([]byte, 0, size))
	document.Write(f.before)
	for i, scope := range slices.Sorted(maps.Keys(all)) {
		name, err := quoted(scope)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			document.WriteByte(',')
		}
		document.WriteString("\n" + scopeIndent)
		document.Write(name)
		document.WriteString(": [")
		for j, requirement := range all[scope] {
			if j > 0 {
				document.WriteByte(',')
			}
			document.WriteString("\n" + elementIndent)
			document.Write(requirement.text)
		}
		document.WriteString("\n" + scopeIndent + "]")
	}
	if len(all) > 0 {
		document.WriteString("\n" + indent + indent)
	}
	document.Write(f.after)
	return document.Bytes(), nil
}
