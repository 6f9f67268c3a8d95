package compile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

// transport is the only transport whose scopes apply to the images of a container runtime.
const transport = "docker"

// system is the system policy of a node.
type system struct {
	defaults   []json.RawMessage
	transports map[string]scopes
}

// errNotRead is returned for key files, which are on the node and stay there.
var errNotRead = errors.New("key files are not read here")

func readSystem(raw []byte, parser *signature.Parser) (system, error) {
	if _, err := parser.Parse(raw, func(string) ([]byte, error) { return nil, errNotRead }); err != nil {
		return system{}, err
	}
	var document struct {
		Default    []json.RawMessage `json:"default"`
		Transports map[string]scopes `json:"transports"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return system{}, err
	}
	return system{defaults: document.Default, transports: document.Transports}, nil
}

// with returns the document that consists of the system policy and these scopes, which replace equal ones of the system
// policy.
func (s system) with(added scopes) ([]byte, error) {
	transports := maps.Clone(s.transports)
	if transports == nil {
		transports = map[string]scopes{}
	}
	merged := maps.Clone(transports[transport])
	if merged == nil {
		merged = scopes{}
	}
	maps.Copy(merged, added)
	transports[transport] = merged
	var document bytes.Buffer
	encoder := json.NewEncoder(&document)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(struct {
		Default    []json.RawMessage `json:"default"`
		Transports map[string]scopes `json:"transports"`
	}{s.defaults, transports})
	if err != nil {
		return nil, fmt.Errorf("encoding a document: %w", err)
	}
	return document.Bytes(), nil
}

// demand summarizes a list of requirements.
type demand struct {
	// accepts: no signature is needed. rejects: no image is admitted.
	accepts, rejects bool
}

// governing returns what the system policy demands of images of a scope, and the scope that says so, which is empty for
// a default.
func (s system) governing(scope string) (demand, string) {
	known := s.transports[transport]
	for _, governor := range policy.ScopesFrom(scope) {
		if list, ok := known[governor]; ok {
			return demandOf(list), governor
		}
	}
	return demandOf(s.rest()), ""
}

// rest returns the requirements of images that no scope of the system policy matches.
func (s system) rest() []json.RawMessage {
	if list, ok := s.transports[transport][""]; ok {
		return list
	}
	return s.defaults
}

func demandOf(list []json.RawMessage) demand {
	d := demand{accepts: len(list) > 0}
	for _, raw := range list {
		var requirement struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(raw, &requirement); err != nil {
			return demand{}
		}
		if isAudited(raw) {
			continue
		}
		d.accepts = d.accepts && requirement.Type == typeAccept
		d.rejects = d.rejects || requirement.Type == typeReject
	}
	return d
}

// isAudited reports whether a requirement is not enforced.
func isAudited(raw json.RawMessage) bool {
	var requirement struct {
		Enforcement string `json:"enforcement"`
	}
	return json.Unmarshal(raw, &requirement) == nil && requirement.Enforcement == audit
}
