package convert

import "go.yaml.in/yaml/v3"

// authority is an authority of a ClusterImagePolicy of policy-controller, as far as it can be said.
type authority struct {
	Name string `yaml:"name"`
	Key  *struct {
		Data          string    `yaml:"data"`
		HashAlgorithm string    `yaml:"hashAlgorithm"`
		SecretRef     yaml.Node `yaml:"secretRef"`
		KMS           string    `yaml:"kms"`
	} `yaml:"key"`
	Static *struct {
		Action string `yaml:"action"`
	} `yaml:"static"`
	Keyless yaml.Node `yaml:"keyless"`
	CTLog   yaml.Node `yaml:"ctlog"`
}

// policyController converts a ClusterImagePolicy of policy.sigstore.dev. Any one of its authorities is enough.
func (c *conversion) policyController(node *yaml.Node) {
	var object struct {
		APIVersion string    `yaml:"apiVersion"`
		Kind       string    `yaml:"kind"`
		Metadata   yaml.Node `yaml:"metadata"`
		Spec       struct {
			Images []struct {
				Glob string `yaml:"glob"`
			} `yaml:"images"`
			Authorities []authority `yaml:"authorities"`
			Mode        string      `yaml:"mode"`
		} `yaml:"spec"`
		Status yaml.Node `yaml:"status"`
	}
	if !c.decode(node, &object) {
		return
	}
	made := spec{}
	switch object.Spec.Mode {
	case "", enforce:
	case "warn":
		made.Mode = audit
	default:
		c.refuse("spec.mode %q cannot be said", object.Spec.Mode)
	}
	made.Policy = c.authorities(object.Spec.Authorities)
	patterns := make([]string, 0, len(object.Spec.Images))
	for _, image := range object.Spec.Images {
		patterns = append(patterns, image.Glob)
	}
	made.Scopes = c.scopes(patterns, false, made.Policy.RootOfTrust.PolicyType == "Accept")
	if len(made.Scopes) == 0 {
		c.refuse("spec.images has no pattern that can be said")
	}
	c.make(clusterKind, c.header.Metadata.Name, made)
}

// authorities returns the policy of authorities, all of which have to be keys, if there are several.
func (c *conversion) authorities(list []authority) policy {
	if len(list) == 1 && list[0].Static != nil {
		switch list[0].Static.Action {
		case "pass":
			return policy{RootOfTrust: rootOfTrust{PolicyType: "Accept"}}
		case "fail":
			return policy{RootOfTrust: rootOfTrust{PolicyType: "Reject"}}
		}
	}
	var keys []string
	for i, authority := range list {
		keys = append(keys, c.authorityKeys(i, authority)...)
	}
	if len(list) == 0 {
		c.refuse("spec.authorities is empty")
	}
	return anyOf(keys, "")
}

func (c *conversion) authorityKeys(i int, of authority) []string {
	switch {
	case !of.Keyless.IsZero():
		c.refuse("spec.authorities[%d].keyless cannot be said: it needs the certificates of Fulcio and the key of Rekor, "+
			"which the object does not have; write a policy of type FulcioCAWithRekor", i)
	case of.Static != nil:
		c.refuse("spec.authorities[%d].static cannot be said next to other authorities, or with action %q",
			i, of.Static.Action)
	case of.Key == nil:
		c.refuse("spec.authorities[%d] has no key", i)
	case of.Key.KMS != "" || !of.Key.SecretRef.IsZero():
		c.refuse("spec.authorities[%d].key has its key in a secret or a key management service: write it as data", i)
	case of.Key.HashAlgorithm != "" && of.Key.HashAlgorithm != "sha256":
		c.refuse("spec.authorities[%d].key.hashAlgorithm %q cannot be said", i, of.Key.HashAlgorithm)
	case !of.CTLog.IsZero():
		c.refuse("spec.authorities[%d].ctlog cannot be said: it names a log by its URL, and a policy needs the key of the "+
			"log as rekorKeyData", i)
	default:
		keys, err := publicKeys(of.Key.Data)
		if err != nil {
			c.refuse("spec.authorities[%d].key.data: %v", i, err)
		}
		return keys
	}
	return nil
}
