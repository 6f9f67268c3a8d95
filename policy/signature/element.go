package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// fields are the members of a JSON object.
type fields map[string]json.RawMessage

// element is one requirement as in documents. The parser of its kind has checked it.
type element struct {
	kind policy.Kind
	spec policy.KindSpec
	raw  []byte
	// paths are its key files.
	paths []string
	// predicateType is that of an attested requirement.
	predicateType string
	// extensions are the fields that only countersign knows.
	extensions []string
	// audit says that it is not enforced.
	audit bool
}

func newElement(raw []byte, kinds policy.Kinds) (element, error) {
	var object fields
	if err := json.Unmarshal(raw, &object); err != nil {
		return element{}, plain(err)
	}
	e := element{raw: raw}
	if err := json.Unmarshal(object["type"], &e.kind); err != nil {
		return element{}, fmt.Errorf("reading its type: %w", plain(err))
	}
	spec, ok := kinds[e.kind]
	if !ok {
		return element{}, fmt.Errorf("type %q is not supported", e.kind)
	}
	e.spec = spec
	if e.kind == policy.Attested {
		if err := json.Unmarshal(object[predicateTypeField], &e.predicateType); err != nil {
			return element{}, fmt.Errorf("reading %s: %w", predicateTypeField, plain(err))
		}
	}
	// This only finds the paths: the files are read each time a document that names them is loaded.
	_, err := inline(object, func(path string) ([]byte, error) {
		e.paths = append(e.paths, path)
		return nil, nil
	})
	return e, err
}

// requirement returns the requirement with the contents of its key files.
func (e element) requirement(files *keyFiles) *policy.Requirement {
	requirement := &policy.Requirement{
		Kind:          e.kind,
		NeedsEvidence: e.spec.NeedsEvidence,
		KeyFiles:      e.paths,
		Extensions:    e.extensions,
		PredicateType: e.predicateType,
		Audit:         e.audit,
	}
	raw, err := e.resolve(files)
	if err != nil {
		requirement.Problem = err.Error()
	} else {
		requirement.JSON = raw
	}
	requirement.ID = identify(requirement)
	return requirement
}

// resolve returns the requirement in JSON without paths, or an error if nothing can ever meet it.
func (e element) resolve(files *keyFiles) ([]byte, error) {
	read := func(path string) ([]byte, error) {
		file := files.get(path)
		return file.data, file.err
	}
	validate := e.spec.Validate
	if validate == nil {
		validate = validateInline
	}
	raw, err := validate(e.raw, read)
	// The keys were checked without their paths, which the operator needs to fix them.
	if unnamed := (*keyError)(nil); errors.As(err, &unnamed) && len(e.paths) > 0 {
		err = fmt.Errorf("%w (read from %s)", err, strings.Join(e.paths, ", "))
	}
	return raw, err
}

// inlined returns a requirement in JSON with the contents of its key files instead of their paths.
func inlined(object fields, read func(path string) ([]byte, error)) ([]byte, error) {
	object, err := inline(object, read)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("writing the requirement: %w", err)
	}
	return raw, nil
}

// inline replaces every path by the data in the file: keyPath by keyData, rekorPublicKeyPaths by rekorPublicKeyDatas,
// and so on, also in "fulcio" and "pki". Members that containers/image accepts and ignores are removed: an empty path
// or a null next to the data that is used.
func inline(object fields, read func(path string) ([]byte, error)) (fields, error) {
	inlined := make(fields, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		value := object[name]
		if bytes.Equal(value, []byte("null")) {
			continue
		}
		newName, newValue, err := inlineField(name, value, read)
		if err != nil {
			return nil, err
		}
		if newValue != nil {
			inlined[newName] = newValue
		}
	}
	return inlined, nil
}

// inlineField replaces one member. A nil value removes it.
func inlineField(
	name string, value json.RawMessage, read func(path string) ([]byte, error),
) (newName string, newValue json.RawMessage, err error) {
	if base, ok := strings.CutSuffix(name, "Path"); ok {
		newValue, err = inlinePath(value, read)
		return base + "Data", newValue, err
	}
	if base, ok := strings.CutSuffix(name, "Paths"); ok {
		newValue, err = inlinePaths(value, read)
		return base + "Datas", newValue, err
	}
	if name != "fulcio" && name != "pki" {
		return name, value, nil
	}
	var inner fields
	if err := json.Unmarshal(value, &inner); err != nil {
		return "", nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if inner, err = inline(inner, read); err != nil {
		return "", nil, err
	}
	newValue, err = json.Marshal(inner)
	return name, newValue, err
}

func inlinePath(value json.RawMessage, read func(path string) ([]byte, error)) (json.RawMessage, error) {
	var path string
	if err := json.Unmarshal(value, &path); err != nil || path == "" {
		return nil, err
	}
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	// An empty file is data, but a nil slice is none.
	return json.Marshal(append([]byte{}, data...))
}

func inlinePaths(value json.RawMessage, read func(path string) ([]byte, error)) (json.RawMessage, error) {
	var paths []string
	if err := json.Unmarshal(value, &paths); err != nil {
		return nil, err
	}
	datas := make([][]byte, len(paths))
	for i, path := range paths {
		data, err := read(path)
		if err != nil {
			return nil, err
		}
		datas[i] = append([]byte{}, data...)
	}
	return json.Marshal(datas)
}

// identify returns the hash of a requirement.
func identify(requirement *policy.Requirement) digest.Digest {
	parts := []any{requirement.Kind, string(requirement.JSON), requirement.Problem}
	if requirement.Audit {
		parts = append(parts, onlyAudited)
	}
	raw, err := json.Marshal(parts)
	if err != nil {
		panic(fmt.Sprintf("strings that cannot be written as JSON: %v", err))
	}
	return digest.FromBytes(raw)
}
