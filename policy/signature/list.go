package signature

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
)

// list is a list of requirements as in documents: parsed, but with the paths of key files.
type list struct {
	elements []element

	// The requirements depend on the contents of the key files; only the latest are cached.
	mu       sync.Mutex
	contents [sha256.Size]byte
	latest   []*policy.Requirement
}

// parseList checks a list, and splits it into requirements. Kinds with a Parse function check their requirements, and
// containers/image the others.
func parseList(raw []byte, kinds policy.Kinds) (*list, error) {
	rest, err := parseOwnKinds(raw, kinds)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		document := bytes.Join([][]byte{[]byte(`{"default":`), rest, {'}'}}, nil)
		if _, err := signature.NewPolicyFromBytes(document); err != nil {
			return nil, plain(err)
		}
	}
	var objects []json.RawMessage
	if err := json.Unmarshal(raw, &objects); err != nil {
		return nil, fmt.Errorf("parsing requirements: %w", plain(err))
	}
	parsed := &list{elements: make([]element, len(objects))}
	for i, object := range objects {
		var err error
		if parsed.elements[i], err = newElement(object, kinds); err != nil {
			return nil, fmt.Errorf("requirement %d: %w", i+1, err)
		}
	}
	return parsed, nil
}

// parseOwnKinds checks the requirements of kinds with a Parse function, and returns the list without them; the result
// is empty if no other requirement remains. If the value is not a list of objects, containers/image reports it.
func parseOwnKinds(raw []byte, kinds policy.Kinds) (rest []byte, err error) {
	var objects []json.RawMessage
	if json.Unmarshal(raw, &objects) != nil {
		return raw, nil //nolint:nilerr // containers/image reports it better.
	}
	own := make([]bool, len(objects))
	for i, object := range objects {
		var members fields
		var kind policy.Kind
		if json.Unmarshal(object, &members) != nil || json.Unmarshal(members["type"], &kind) != nil {
			continue
		}
		if parse := kinds[kind].Parse; parse != nil {
			own[i] = true
			if err := parse(object); err != nil {
				return nil, fmt.Errorf("requirement %d: %w", i+1, err)
			}
		}
	}
	if !slices.Contains(own, true) {
		return raw, nil
	}
	var left [][]byte
	for i, object := range objects {
		if !own[i] {
			left = append(left, object)
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	return bytes.Join([][]byte{{'['}, bytes.Join(left, []byte{','}), {']'}}, nil), nil
}

// mention adds the list's key files to those of the document, without reading them.
func (l *list) mention(files *keyFiles) {
	for _, element := range l.elements {
		for _, path := range element.paths {
			files.mention(path)
		}
	}
}

// requirements returns the list with the contents of the key files instead of their paths. Equal contents return the
// same requirements, not only equal ones.
func (l *list) requirements(files *keyFiles) []*policy.Requirement {
	l.mention(files)
	contents := l.sum(files)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.latest != nil && l.contents == contents {
		return l.latest
	}
	requirements := make([]*policy.Requirement, len(l.elements))
	for i, element := range l.elements {
		requirements[i] = element.requirement(files)
	}
	l.contents, l.latest = contents, requirements
	return requirements
}

// sum returns a hash of the contents of the key files, or of their errors.
func (l *list) sum(files *keyFiles) (sum [sha256.Size]byte) {
	hash := sha256.New()
	var any bool
	for _, element := range l.elements {
		for _, path := range element.paths {
			any = true
			file := files.get(path)
			hash.Write(file.sum[:])
		}
	}
	if any {
		hash.Sum(sum[:0])
	}
	return sum
}
