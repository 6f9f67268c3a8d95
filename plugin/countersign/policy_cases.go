package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// policyCases is a file of policy test.
type policyCases struct {
	SystemPolicy  string       `yaml:"system_policy"`
	ClusterPolicy string       `yaml:"cluster_policy"`
	PolicyDir     string       `yaml:"policy_dir"`
	Cases         []policyCase `yaml:"cases"`
}

// policyCase is an image, and the expected verdict.
type policyCase struct {
	Namespace string `yaml:"namespace"`
	Reference string `yaml:"reference"`
	Image     string `yaml:"image"`
	Expect    string `yaml:"expect"`
}

// The verdicts that a case may expect instead of a reason.
const (
	expectAdmitted = "admitted"
	expectDenied   = "denied"
	expectUnknown  = "unknown"
)

// readPolicyCases reads a file of policy test. There is at least one case, and each is complete.
func readPolicyCases(path string) (*policyCases, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading cases: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	cases := &policyCases{}
	if err := decoder.Decode(cases); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading cases in %s: %s", path, text.OneLine(withoutTypes(err)))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading cases in %s: there is a second document", path)
	}
	if len(cases.Cases) == 0 {
		return nil, fmt.Errorf("reading cases in %s: there are none under cases", path)
	}
	for i := range cases.Cases {
		if err := cases.Cases[i].complete(); err != nil {
			return nil, fmt.Errorf("case %d in %s: %w", i+1, path, err)
		}
	}
	return cases, nil
}

// withoutTypes returns the text of an error of the library without the names of our types.
func withoutTypes(err error) string {
	mismatch := (*yaml.TypeError)(nil)
	if !errors.As(err, &mismatch) {
		return strings.TrimPrefix(err.Error(), "yaml: ")
	}
	problems := make([]string, 0, len(mismatch.Errors))
	for _, problem := range mismatch.Errors {
		problem, _, _ = strings.Cut(problem, " in type ")
		problem, _, _ = strings.Cut(problem, " into ")
		problems = append(problems, problem)
	}
	return strings.Join(problems, "; ")
}

// complete checks a case, and fills in its namespace.
func (c *policyCase) complete() error {
	if c.Namespace == "" {
		c.Namespace = "default"
	}
	if c.Reference == "" {
		return errors.New("reference is missing")
	}
	if err := checkImage(c.Image); err != nil {
		return fmt.Errorf("image %q is not containerd, registry, dir:PATH or oci:PATH[:TAG]", c.Image)
	}
	known := append([]string{expectAdmitted, expectDenied, expectUnknown}, reasonWords()...)
	if !slices.Contains(known, c.Expect) {
		return fmt.Errorf("expect %q is not one of %s", c.Expect, strings.Join(known, ", "))
	}
	return nil
}

// reasonWords returns the reasons that a verdict may have.
func reasonWords() (words []string) {
	for _, reason := range policy.Reasons() {
		words = append(words, string(reason))
	}
	return words
}

// imageFrom returns the image as for check, with a relative path below a directory.
func (c *policyCase) imageFrom(directory string) string {
	if kind, path, isFile := strings.Cut(c.Image, ":"); isFile {
		return kind + ":" + relativeTo(directory, path)
	}
	return c.Image
}

// expects reports whether a verdict with that reason is the expected one.
func (c *policyCase) expects(reason policy.Reason) bool {
	switch c.Expect {
	case expectAdmitted:
		return exitStatus(reason) == exitAdmitted
	case expectDenied:
		return exitStatus(reason) == exitDenied
	case expectUnknown:
		return exitStatus(reason) == exitUnknown
	default:
		return string(reason) == c.Expect
	}
}

// relativeTo returns a path in a file of a directory: it is absolute, relative to the directory, or empty.
func relativeTo(directory, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(directory, path)
}
