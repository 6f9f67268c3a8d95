package compile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// element is a requirement.
type element struct {
	// text is its JSON as it is written in a list of a document.
	text []byte
	// accepts reports whether every image meets it, rejects whether none does, and audited whether it is only reported.
	accepts, rejects, audited bool
}

// newElement reads a requirement. The parser of the daemon has accepted it.
func newElement(raw json.RawMessage) (*element, error) {
	var members struct {
		Type        string `json:"type"`
		Enforcement string `json:"enforcement"`
	}
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, fmt.Errorf("reading a requirement: %w", err)
	}
	text, err := indented(raw, elementIndent)
	if err != nil {
		return nil, err
	}
	return &element{
		text: text, accepts: members.Type == typeAccept, rejects: members.Type == typeReject,
		audited: members.Enforcement == audit,
	}, nil
}

func newElements(list []json.RawMessage) ([]*element, error) {
	made := make([]*element, 0, len(list))
	for _, raw := range list {
		one, err := newElement(raw)
		if err != nil {
			return nil, err
		}
		made = append(made, one)
	}
	return made, nil
}

// contains reports whether a list has a requirement.
func contains(list []*element, requirement *element) bool {
	return slices.ContainsFunc(list, func(known *element) bool {
		return known == requirement || bytes.Equal(known.text, requirement.text)
	})
}

// enforcesAny reports whether a list has a requirement that is enforced.
func enforcesAny(list []*element) bool {
	return slices.ContainsFunc(list, func(requirement *element) bool { return !requirement.audited })
}

// auditedOf returns the requirements of a list that are not enforced.
func auditedOf(list []*element) []*element {
	return slices.DeleteFunc(slices.Clone(list), func(requirement *element) bool { return !requirement.audited })
}
