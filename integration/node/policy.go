package node

import (
	"encoding/json"
	"fmt"
	"os"
)

// Requirement is a policy requirement of containers-policy.json(5).
type Requirement map[string]any

// Accept is the requirement insecureAcceptAnything.
func Accept() Requirement { return Requirement{"type": "insecureAcceptAnything"} }

// Reject is the requirement reject.
func Reject() Requirement { return Requirement{"type": "reject"} }

// Cosign requires a signature by a key of cosign, for the image's repository.
func Cosign(publicKey string) Requirement {
	return Requirement{
		"type": "sigstoreSigned", "keyPath": publicKey,
		"signedIdentity": map[string]string{"type": "matchRepository"},
	}
}

// Policy is a policy document. Its zero value rejects everything.
type Policy struct {
	Default Requirement
	// Scopes are requirements by scope: a registry's host, a repository, a reference, ….
	Scopes map[string]Requirement
}

// JSON returns the document.
func (p Policy) JSON() string {
	standard := p.Default
	if standard == nil {
		standard = Reject()
	}
	scopes := make(map[string][]Requirement)
	for scope, requirement := range p.Scopes {
		scopes[scope] = []Requirement{requirement}
	}
	contents, err := json.MarshalIndent(map[string]any{
		"default":    []Requirement{standard},
		"transports": map[string]any{"docker": scopes},
	}, "", "  ")
	if err != nil {
		panic(err) // A requirement that cannot be encoded as JSON is an error in the test.
	}
	return string(contents)
}

// WritePolicy writes the document of a namespace, or the system policy if the namespace is empty, atomically.
func (n *Node) WritePolicy(namespace, document string) error {
	if err := os.MkdirAll(n.PolicyDirectory(), 0o700); err != nil {
		return fmt.Errorf("writing a policy: %w", err)
	}
	return replace(n.PolicyFile(namespace), []byte(document))
}

// RemovePolicy removes the document of a namespace, or the system policy if the namespace is empty.
func (n *Node) RemovePolicy(namespace string) error {
	if err := os.Remove(n.PolicyFile(namespace)); err != nil {
		return fmt.Errorf("removing a policy: %w", err)
	}
	return nil
}

// SystemPolicy returns the path of the system policy. The file does not exist until it is written.
func (n *Node) SystemPolicy() string { return n.Path("policy.json") }

// PolicyDirectory returns the path of the directory with the documents of namespaces.
func (n *Node) PolicyDirectory() string { return n.Path("policies") }

// AuthFile returns the path of countersign's docker config.json with credentials. The file does not exist until it is
// written.
func (n *Node) AuthFile() string { return n.Path("config.json") }

// PolicyFile returns the path of the document of a namespace, or of the system policy if the namespace is empty.
func (n *Node) PolicyFile(namespace string) string {
	if namespace == "" {
		return n.SystemPolicy()
	}
	return n.Path("policies", namespace+".json")
}
