package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// apiVersion is that of the objects that are made.
const apiVersion = "policy.countersign.dev/v1alpha1"

// Kinds of the objects that are made, which are also kinds of other projects.
const (
	clusterKind    = "ClusterImagePolicy"
	namespacedKind = "ImagePolicy"
)

// Object is an ImagePolicy or a ClusterImagePolicy.
type Object struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   Metadata `yaml:"metadata"`
	Spec       spec     `yaml:"spec"`
}

// Metadata names an object.
type Metadata struct {
	Name        string            `yaml:"name"`
	Namespace   string            `yaml:"namespace,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Result is what became of the objects of a file.
type Result struct {
	Objects []Object
	// Refused are what cannot be said, one line each, and Notes what is said in another way.
	Refused, Notes []string
}

// Convert converts all objects in YAML or JSON. The error is about the file as a whole.
func Convert(r io.Reader) (*Result, error) {
	result := &Result{}
	decoder := yaml.NewDecoder(r)
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return result, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading YAML: %w", err)
		}
		if err := result.add(&node); err != nil {
			return nil, err
		}
	}
}

// header is what all objects have.
type header struct {
	APIVersion string      `yaml:"apiVersion"`
	Kind       string      `yaml:"kind"`
	Metadata   Metadata    `yaml:"metadata"`
	Items      []yaml.Node `yaml:"items"`
}

func (r *Result) add(node *yaml.Node) error {
	var of header
	if err := node.Decode(&of); err != nil {
		return fmt.Errorf("reading an object: %w", err)
	}
	if of.APIVersion == "" && of.Kind == "" && of.Metadata.Name == "" {
		return nil // An empty document.
	}
	if strings.HasSuffix(of.Kind, "List") {
		for i := range of.Items {
			if err := r.add(&of.Items[i]); err != nil {
				return err
			}
		}
		return nil
	}
	c := &conversion{header: of}
	c.convert(node)
	for _, refused := range c.refused {
		r.Refused = append(r.Refused, c.name()+": "+refused)
	}
	for _, note := range c.notes {
		r.Notes = append(r.Notes, c.name()+": "+note)
	}
	if len(c.refused) == 0 {
		r.Objects = append(r.Objects, c.objects...)
	}
	return nil
}

// conversion is the conversion of one object.
type conversion struct {
	header  header
	objects []Object
	refused []string
	notes   []string
}

func (c *conversion) name() string {
	name := c.header.Metadata.Name
	if c.header.Metadata.Namespace != "" {
		name = c.header.Metadata.Namespace + "/" + name
	}
	return c.header.Kind + " " + name
}

func (c *conversion) refuse(format string, arguments ...any) {
	c.refused = append(c.refused, fmt.Sprintf(format, arguments...))
}

func (c *conversion) note(format string, arguments ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, arguments...))
}

func (c *conversion) convert(node *yaml.Node) {
	group, _, _ := strings.Cut(c.header.APIVersion, "/")
	isPolicy := c.header.Kind == clusterKind || c.header.Kind == namespacedKind
	switch {
	case group == "config.openshift.io" && isPolicy:
		c.openShift(node)
	case group == "policy.sigstore.dev" && c.header.Kind == clusterKind:
		c.policyController(node)
	case group == "kyverno.io" && (c.header.Kind == "ClusterPolicy" || c.header.Kind == "Policy"):
		c.kyverno(node)
	default:
		c.refuse("apiVersion %q with kind %q is not converted", c.header.APIVersion, c.header.Kind)
	}
}

// decode reads an object into a type that has all fields that can be said. Others are refused.
func (c *conversion) decode(node *yaml.Node, into any) bool {
	raw, err := yaml.Marshal(node)
	if err != nil {
		c.refuse("%v", err)
		return false
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	err = decoder.Decode(into)
	if mismatch, ok := errors.AsType[*yaml.TypeError](err); ok {
		for _, problem := range mismatch.Errors {
			_, problem, _ = strings.Cut(problem, ": ") // The lines are those of the object, not of the file.
			problem, _, _ = strings.Cut(problem, " in type ")
			c.refuse("%s, which cannot be said", problem)
		}
		return false
	}
	if err != nil {
		c.refuse("%v", err)
	}
	return err == nil
}

// make adds an object.
func (c *conversion) make(kind, name string, spec spec) {
	metadata := Metadata{Name: name}
	if kind == namespacedKind {
		metadata.Namespace = c.header.Metadata.Namespace
	}
	c.objects = append(c.objects, Object{APIVersion: apiVersion, Kind: kind, Metadata: metadata, Spec: spec})
}

// Write writes the objects as YAML.
func (r *Result) Write(w io.Writer) error {
	if len(r.Objects) == 0 {
		return nil
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	for i := range r.Objects {
		if err := encoder.Encode(r.Objects[i]); err != nil {
			return fmt.Errorf("writing an object: %w", err)
		}
	}
	return encoder.Close()
}
