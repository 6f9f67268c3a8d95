package signature

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	"go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
)

// list is a list of requirements as in documents: parsed, but with the paths of key files.
type list struct {
	elements []element
	// onlyAudited reports whether no requirement is enforced.
	onlyAudited bool

	// The requirements depend on the contents of the key files; only the latest are cached.
	mu       sync.Mutex
	contents [sha256.Size]byte
	latest   []*policy.Requirement
}

// parseList checks a list, and splits it into requirements. Kinds with a Parse function check their requirements, and
// containers/image the others, without the fields that it does not know.
func parseList(raw []byte, kinds policy.Kinds) (*list, error) {
	raw, enforcement, err := withoutEnforcement(raw)
	if err != nil {
		return nil, err
	}
	standard, extensions, err := parseOwn(raw, kinds)
	if err != nil {
		return nil, err
	}
	if len(standard) > 0 {
		document := bytes.Join([][]byte{[]byte(`{"default":`), standard, {'}'}}, nil)
		if _, err := signature.NewPolicyFromBytes(document); err != nil {
			return nil, plain(err)
		}
	}
	var objects []json.RawMessage
	if err := json.Unmarshal(raw, &objects); err != nil {
		return nil, fmt.Errorf("parsing requirements: %w", plain(err))
	}
	parsed := &list{elements: make([]element, len(objects)), onlyAudited: enforcement.none(len(objects))}
	for i, object := range objects {
		var err error
		if parsed.elements[i], err = newElement(object, kinds); err != nil {
			return nil, fmt.Errorf("requirement %d: %w", i+1, err)
		}
		parsed.elements[i].extensions = extensions[i]
		parsed.elements[i].audit = enforcement.audited[i]
		if enforcement.given[i] {
			parsed.elements[i].extensions = append([]string{enforcementField}, extensions[i]...)
		}
	}
	return parsed, nil
}

// parseOwn checks what containers/image does not know, and returns the list without it: without requirements of kinds
// with a Parse function, and without extension fields in others; the result is empty if no requirement remains. It also
// returns the names of the extension fields by the number of the requirement. If the value is not a list of objects,
// containers/image reports it.
func parseOwn(raw []byte, kinds policy.Kinds) (standard []byte, extensions map[int][]string, err error) {
	var objects []json.RawMessage
	if json.Unmarshal(raw, &objects) != nil {
		return raw, nil, nil //nolint:nilerr // containers/image reports it better.
	}
	extensions = make(map[int][]string)
	var left [][]byte
	same := true
	for i, object := range objects {
		rest, names, err := parseOne(object, kinds)
		if err != nil {
			return nil, nil, fmt.Errorf("requirement %d: %w", i+1, within(raw, i, err))
		}
		if !bytes.Equal(rest, object) {
			same, extensions[i] = false, names
		}
		if rest != nil {
			left = append(left, rest)
		}
	}
	switch {
	case same:
		return raw, nil, nil
	case len(left) == 0:
		return nil, extensions, nil
	default:
		return bytes.Join([][]byte{{'['}, bytes.Join(left, []byte{','}), {']'}}, nil), extensions, nil
	}
}

// parseOne checks what containers/image does not know about one requirement. It returns what is left for
// containers/image, or nil if nothing is, and the names of the extension fields.
func parseOne(object []byte, kinds policy.Kinds) (rest []byte, names []string, err error) {
	kind, ok := typeOf(object)
	if !ok {
		return object, nil, nil
	}
	if parse := kinds[kind].Parse; parse != nil {
		return nil, nil, parse(object)
	}
	switch kind {
	case policy.SigstoreSigned:
		return withoutExtensions(object)
	case policy.SignedBy:
		rest, names = withoutRemap(object)
		return rest, names, nil
	case policy.Attested:
		return parseAttested(object)
	default:
		return object, nil, nil
	}
}

// typeOf returns the type of a requirement, if it has one. Otherwise containers/image reports it.
func typeOf(object []byte) (kind policy.Kind, ok bool) {
	var members fields
	if json.Unmarshal(object, &members) != nil {
		return "", false
	}
	err := json.Unmarshal(members["type"], &kind)
	return kind, err == nil
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
