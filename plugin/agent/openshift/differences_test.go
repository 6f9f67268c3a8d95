package openshift_test

import (
	"fmt"
	"reflect"
	"testing"
)

// differences are how documents of the agent differ from those of the operator, with the reasons.
type differences struct {
	// unusable are keys and certificates that the operator writes as they are, and that the agent does not accept.
	unusable map[string]string
	// nested are pairs of a scope of the cluster and one of a namespace that the operator writes in spite of it.
	nested map[[2]string]string
	// atomic: the operator repeats scopes of the transport docker in the transport atomic.
	atomic string
	used   map[string]bool
}

// listed returns all differences.
func listed() *differences {
	const (
		noPEM = "it is no PEM: nothing can meet the requirement, and the agent refuses all images of the scopes"
		// fiveBytes is PEM, and not a certificate.
		fiveBytes = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJBVEE9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0="
	)
	return &differences{
		unusable: map[string]string{
			"dGVzdC1rZXktZGF0YQ==":         noPEM, // "test-key-data"
			"dGVzdC1yZWtvci1rZXktZGF0YQ==": noPEM, // "test-rekor-key-data"
			fiveBytes:                      "it is no certificate: as above",
		},
		nested: map[[2]string]string{
			{"example.com/foo/bar", "example.com/foo/bar:latest"}: "the operator lets a namespace replace a policy of the " +
				"cluster for a tag, which containers/image looks up first",
		},
		atomic: "containerd does not use the transport, and the agent does not write it",
		used:   map[string]bool{},
	}
}

// removeAtomic removes the transport atomic from a document of the operator. It fails if the transport does not repeat
// docker.
func (d *differences) removeAtomic(t *testing.T, document content) {
	t.Helper()
	if d == nil {
		return
	}
	for scope, list := range document.Transports["atomic"] {
		if !reflect.DeepEqual(list, document.Transports["docker"][scope]) {
			t.Errorf("the operator's scope %s of the transport atomic differs from that of docker", scope)
		}
		d.used[d.atomic] = true
	}
	delete(document.Transports, "atomic")
}

// refuses reports whether a requirement has a key or a certificate that the agent does not accept.
func (d *differences) refuses(fields map[string]any) bool {
	if d == nil {
		return false
	}
	for _, value := range fields {
		switch value := value.(type) {
		case string:
			if _, ok := d.unusable[value]; ok {
				d.used[value] = true
				return true
			}
		case map[string]any:
			if d.refuses(value) {
				return true
			}
		}
	}
	return false
}

// dropped returns the scopes of policies of a namespace that the agent does not write.
func (d *differences) dropped(t *testing.T, policies []policy) (scopes []string) {
	t.Helper()
	for _, governing := range policies {
		for _, governed := range policies {
			if governing.kind != clusterKind || governed.kind != namespaceKind {
				continue
			}
			for _, above := range governing.scopes(t) {
				for _, scope := range governed.scopes(t) {
					pair := [2]string{above, scope}
					if _, ok := d.nested[pair]; ok {
						d.used[fmt.Sprint(pair)] = true
						scopes = append(scopes, scope)
					}
				}
			}
		}
	}
	return scopes
}

// check fails if a difference is listed that no document has.
func (d *differences) check(t *testing.T) {
	t.Helper()
	for value, reason := range d.unusable {
		if !d.used[value] {
			t.Errorf("no document has %s: %s", value, reason)
		}
	}
	if !d.used[d.atomic] {
		t.Errorf("no document has the transport atomic: %s", d.atomic)
	}
	for pair, reason := range d.nested {
		if !d.used[fmt.Sprint(pair)] {
			t.Errorf("no policies have the scopes %q: %s", pair, reason)
		}
	}
}
