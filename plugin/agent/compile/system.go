package compile

import (
	"encoding/json"
	"errors"
	"maps"

	"github.com/countersign/countersign/policy/signature"
)

// transport is the only transport whose scopes apply to the images of a container runtime.
const transport = "docker"

// system is the system policy of a node.
type system struct {
	defaults []*element
	// scopes are those of images, and enforced those in which something is enforced.
	scopes, enforced scopes
	frame            frame
}

// errNotRead is returned for key files, which are on the node and stay there.
var errNotRead = errors.New("key files are not read here")

func readSystem(raw []byte, parser *signature.Parser) (system, error) {
	if _, err := parser.Parse(raw, func(string) ([]byte, error) { return nil, errNotRead }); err != nil {
		return system{}, err
	}
	var document struct {
		Default    []json.RawMessage                       `json:"default"`
		Transports map[string]map[string][]json.RawMessage `json:"transports"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return system{}, err
	}
	defaults, err := newElements(document.Default)
	if err != nil {
		return system{}, err
	}
	read := system{defaults: defaults, scopes: scopes{}, enforced: scopes{}}
	for scope, raw := range document.Transports[transport] {
		list, err := newElements(raw)
		if err != nil {
			return system{}, err
		}
		read.scopes[scope] = list
		if enforcesAny(list) {
			read.enforced[scope] = list
		}
	}
	read.frame, err = newFrame(document.Default, document.Transports)
	return read, err
}

// with returns the document that consists of the system policy and these scopes, which replace equal ones of the system
// policy.
func (s system) with(added scopes) ([]byte, error) {
	merged := maps.Clone(s.scopes)
	maps.Copy(merged, added)
	return s.frame.with(merged)
}

// demand summarizes a list of requirements.
type demand struct {
	// accepts: no signature is needed. rejects: no image is admitted.
	accepts, rejects bool
}

// governing returns what the system policy demands of images for which these scopes are looked up, and the scope that
// says so, which is empty for a default.
func (s system) governing(from []string) (demand, string) {
	for _, governor := range from {
		if list, ok := s.enforced[governor]; ok {
			return demandOf(list), governor
		}
	}
	return demandOf(s.rest(s.enforced)), ""
}

// rest returns the requirements of images that none of these scopes of the system policy matches.
func (s system) rest(of scopes) []*element {
	if list, ok := of[""]; ok {
		return list
	}
	return s.defaults
}

func demandOf(list []*element) demand {
	d := demand{accepts: enforcesAny(list)}
	for _, requirement := range list {
		if !requirement.audited {
			d.accepts = d.accepts && requirement.accepts
			d.rejects = d.rejects || requirement.rejects
		}
	}
	return d
}
