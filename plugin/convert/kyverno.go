package convert

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kyvernoRule is a rule of a policy of Kyverno, as far as it can be said. mutateDigest, verifyDigest and required say
// how Kyverno finds out what runs: countersign always knows it.
type kyvernoRule struct {
	Name         string         `yaml:"name"`
	Match        kyvernoMatch   `yaml:"match"`
	VerifyImages []verifyImages `yaml:"verifyImages"`
}

type kyvernoMatch struct {
	Any       []kyvernoFilter   `yaml:"any"`
	All       []kyvernoFilter   `yaml:"all"`
	Resources *kyvernoResources `yaml:"resources"`
}

type kyvernoFilter struct {
	Resources kyvernoResources `yaml:"resources"`
}

type kyvernoResources struct {
	Kinds             []string  `yaml:"kinds"`
	Namespaces        []string  `yaml:"namespaces"`
	NamespaceSelector *selector `yaml:"namespaceSelector"`
}

type verifyImages struct {
	Type            string            `yaml:"type"`
	ImageReferences []string          `yaml:"imageReferences"`
	Attestors       []kyvernoAttestor `yaml:"attestors"`
	FailureAction   string            `yaml:"failureAction"`
	MutateDigest    *bool             `yaml:"mutateDigest"`
	VerifyDigest    *bool             `yaml:"verifyDigest"`
	Required        *bool             `yaml:"required"`
}

type kyvernoAttestor struct {
	Count   *int           `yaml:"count"`
	Entries []kyvernoEntry `yaml:"entries"`
}

type kyvernoEntry struct {
	Keys *struct {
		PublicKeys         string        `yaml:"publicKeys"`
		SignatureAlgorithm string        `yaml:"signatureAlgorithm"`
		Rekor              *kyvernoRekor `yaml:"rekor"`
	} `yaml:"keys"`
	Keyless      yaml.Node `yaml:"keyless"`
	Certificates yaml.Node `yaml:"certificates"`
}

type kyvernoRekor struct {
	URL        string `yaml:"url"`
	PubKey     string `yaml:"pubkey"`
	IgnoreTlog bool   `yaml:"ignoreTlog"`
}

// kyverno converts the rules verifyImages of a policy of Kyverno.
func (c *conversion) kyverno(node *yaml.Node) {
	var object struct {
		APIVersion string    `yaml:"apiVersion"`
		Kind       string    `yaml:"kind"`
		Metadata   yaml.Node `yaml:"metadata"`
		Spec       struct {
			ValidationFailureAction string        `yaml:"validationFailureAction"`
			Background              *bool         `yaml:"background"`
			WebhookTimeoutSeconds   *int          `yaml:"webhookTimeoutSeconds"`
			FailurePolicy           string        `yaml:"failurePolicy"`
			Rules                   []kyvernoRule `yaml:"rules"`
		} `yaml:"spec"`
		Status yaml.Node `yaml:"status"`
	}
	if !c.decode(node, &object) {
		return
	}
	if len(object.Spec.Rules) == 0 {
		c.refuse("spec.rules is empty")
	}
	for _, rule := range object.Spec.Rules {
		selected := c.selected(rule)
		if len(rule.VerifyImages) == 0 {
			c.refuse("rule %q has no verifyImages", rule.Name)
		}
		for i, verify := range rule.VerifyImages {
			at := fmt.Sprintf("rule %q, verifyImages[%d]", rule.Name, i)
			made := spec{NamespaceSelector: selected, Scopes: c.scopes(verify.ImageReferences, true, false)}
			made.Mode = c.kyvernoMode(at, verify.FailureAction, object.Spec.ValidationFailureAction)
			if verify.Type != "" && verify.Type != "Cosign" {
				c.refuse("%s: type %q cannot be said", at, verify.Type)
			}
			if verify.Required != nil && !*verify.Required {
				c.refuse("%s: required: false cannot be said", at)
			}
			c.makeKyverno(at, rule.Name, verify, made)
		}
	}
}

// makeKyverno makes an object for each group of keys: all of them are required.
func (c *conversion) makeKyverno(at, rule string, verify verifyImages, made spec) {
	groups := c.attestors(at, verify.Attestors)
	if len(groups) == 0 {
		c.refuse("%s has no attestor with a key", at)
	}
	kind := clusterKind
	if c.header.Kind == "Policy" {
		kind = namespacedKind
	}
	for _, group := range groups {
		made.Policy = group
		name := c.header.Metadata.Name + "-" + rule
		if taken := len(c.objects); slices.ContainsFunc(c.objects, func(o Object) bool { return o.Metadata.Name == name }) {
			name = fmt.Sprintf("%s-%d", name, taken+1)
		}
		c.make(kind, name, made)
	}
}

// kyvernoMode returns the mode. Kyverno audits if nothing is said.
func (c *conversion) kyvernoMode(at, ofRule, ofPolicy string) string {
	action := ofRule
	if action == "" {
		action = ofPolicy
	}
	switch strings.ToLower(action) {
	case "enforce":
		return enforce
	case "audit", "":
		return audit
	default:
		c.refuse("%s: failure action %q cannot be said", at, action)
		return ""
	}
}

// selected returns the namespaces of a rule. It must be about all pods in them.
func (c *conversion) selected(rule kyvernoRule) *selector {
	filters := append(slices.Clone(rule.Match.Any), rule.Match.All...)
	if rule.Match.Resources != nil {
		filters = append(filters, kyvernoFilter{*rule.Match.Resources})
	}
	if len(filters) != 1 {
		c.refuse("rule %q has %d filters in match, and one can be said", rule.Name, len(filters))
		return nil
	}
	resources := filters[0].Resources
	switch {
	case !slices.Equal(resources.Kinds, []string{"Pod"}):
		c.refuse("rule %q matches kinds %q, and a policy is about Pods", rule.Name, resources.Kinds)
	case len(resources.Namespaces) > 0 && resources.NamespaceSelector != nil:
		c.refuse("rule %q has namespaces and a namespaceSelector, and one of them can be said", rule.Name)
	case c.header.Kind == "Policy" && (len(resources.Namespaces) > 0 || resources.NamespaceSelector != nil):
		c.refuse("rule %q of a Policy has namespaces, and an ImagePolicy has its own", rule.Name)
	case slices.ContainsFunc(resources.Namespaces, func(name string) bool { return strings.ContainsAny(name, "*?") }):
		c.refuse("rule %q names namespaces with a wildcard, and a selector has none: select them by labels", rule.Name)
	case len(resources.Namespaces) > 0:
		return &selector{MatchExpressions: []matchExpression{
			{Key: "kubernetes.io/metadata.name", Operator: "In", Values: resources.Namespaces},
		}}
	}
	return resources.NamespaceSelector
}

// attestors returns what all attestors require: of each one a signature by any of its keys, or one by each of them.
func (c *conversion) attestors(at string, attestors []kyvernoAttestor) (groups []policy) {
	for i, attestor := range attestors {
		of := fmt.Sprintf("%s, attestors[%d]", at, i)
		var keys []string
		var logs []string
		for j, entry := range attestor.Entries {
			found, log := c.entry(fmt.Sprintf("%s.entries[%d]", of, j), entry)
			keys = append(keys, found...)
			for range found {
				logs = append(logs, log)
			}
		}
		switch {
		case len(keys) == 0:
		case attestor.Count == nil || *attestor.Count == len(keys):
			for k := range keys {
				groups = append(groups, anyOf(keys[k:k+1], logs[k]))
			}
		case *attestor.Count == 1 && len(slices.Compact(slices.Clone(logs))) == 1:
			groups = append(groups, anyOf(keys, logs[0]))
		default:
			c.refuse("%s: count %d of %d keys cannot be said: 1 or all can, with the same log", of, *attestor.Count, len(keys))
		}
	}
	return groups
}

// entry returns the keys of an entry, and the key of the log, all in base64.
func (c *conversion) entry(at string, entry kyvernoEntry) (keys []string, log string) {
	if !entry.Keyless.IsZero() || !entry.Certificates.IsZero() || entry.Keys == nil {
		c.refuse("%s has no keys: keyless and certificates cannot be said, because they need the certificates of Fulcio and "+
			"the key of Rekor; write a policy of type FulcioCAWithRekor or PKI", at)
		return nil, ""
	}
	keys, err := publicKeys(entry.Keys.PublicKeys)
	if err != nil {
		c.refuse("%s.keys.publicKeys: %v; keys in secrets, key management services and variables cannot be said", at, err)
	}
	if algorithm := entry.Keys.SignatureAlgorithm; algorithm != "" && algorithm != "sha256" {
		c.refuse("%s.keys.signatureAlgorithm %q cannot be said", at, algorithm)
	}
	switch rekor := entry.Keys.Rekor; {
	case rekor != nil && rekor.IgnoreTlog:
	case rekor != nil && rekor.PubKey != "":
		logs, err := publicKeys(rekor.PubKey)
		if err != nil || len(logs) != 1 {
			c.refuse("%s.keys.rekor.pubkey is not one public key", at)
			break
		}
		log = logs[0]
	default:
		c.refuse("%s.keys.rekor has no pubkey, and Kyverno requires a record in the log of Sigstore: add its key, or "+
			"ignoreTlog: true", at)
	}
	return keys, log
}
