package convert

import "go.yaml.in/yaml/v3"

// openShift converts an ImagePolicy or a ClusterImagePolicy of config.openshift.io, which differs in its apiVersion
// only. Its status is left out.
func (c *conversion) openShift(node *yaml.Node) {
	var object struct {
		APIVersion string    `yaml:"apiVersion"`
		Kind       string    `yaml:"kind"`
		Metadata   yaml.Node `yaml:"metadata"`
		Spec       spec      `yaml:"spec"`
		Status     yaml.Node `yaml:"status"`
	}
	if !c.decode(node, &object) {
		return
	}
	if object.Spec.Mode != "" || object.Spec.NamespaceSelector != nil {
		c.refuse("spec has fields that OpenShift does not have: is it an object of %s?", apiVersion)
		return
	}
	if len(object.Spec.Scopes) == 0 {
		c.refuse("spec.scopes is empty, so that it applies to no image")
		return
	}
	c.make(c.header.Kind, c.header.Metadata.Name, object.Spec)
	made := &c.objects[0].Metadata
	made.Labels = c.header.Metadata.Labels
}
