package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Warning is something in a valid document that its author probably did not intend.
type Warning struct {
	// Scope is the scope that it is about. IsDefault reports whether it is about the document's default instead.
	Scope     string
	IsDefault bool
	// Text is one line.
	Text string
}

// Warnings returns the warnings about a document, those about its default first.
func (k Kinds) Warnings(document *Document) []Warning {
	warnings := k.listWarnings(Warning{IsDefault: true}, document.Default)
	for _, scope := range slices.Sorted(maps.Keys(document.Scopes)) {
		at := Warning{Scope: scope}
		if dead := document.Dead[scope]; dead != nil {
			at.Text = "no image reference matches this scope: " + dead.String()
			warnings = append(warnings, at)
		}
		warnings = append(warnings, k.listWarnings(at, document.Written(scope))...)
	}
	return warnings
}

// listWarnings returns the warnings about a list of requirements.
func (k Kinds) listWarnings(at Warning, list []*Requirement) (warnings []Warning) {
	add := func(format string, arguments ...any) {
		at.Text = fmt.Sprintf(format, arguments...)
		warnings = append(warnings, at)
	}
	enforced := countEnforced(list)
	for i, requirement := range list {
		name := fmt.Sprintf("requirement %d (%s)", i+1, requirement.Kind)
		switch {
		case requirement.Problem != "":
			add("%s can never be met: %s", name, requirement.Problem)
		case requirement.Kind == SignedBaseLayer:
			add("%s can never be met: no tool implements it; use sigstoreSigned or signedBy", name)
		case requirement.Kind == Reject && !requirement.Audit && len(list) > 1:
			add("%s refuses every image, so that the other requirements have no effect", name)
		case requirement.Kind == InsecureAcceptAnything && (enforced > 1 || requirement.Audit):
			add("%s has no effect, because an image must meet every requirement of the list", name)
		}
		if spec := k[requirement.Kind]; spec.Parse != nil || spec.Extension {
			add("%s is an extension of countersign: podman, skopeo and CRI-O do not load this document", name)
		}
		if len(requirement.Extensions) > 0 {
			add("%s uses extensions of countersign (%s): podman, skopeo and CRI-O do not load this document",
				name, strings.Join(requirement.Extensions, ", "))
		}
	}
	return warnings
}
