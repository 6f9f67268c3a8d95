package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/countersign/countersign/policy"
)

// checkResult is what check prints; its JSON is an interface.
type checkResult struct {
	Allowed   bool   `json:"allowed"`
	Reason    string `json:"reason"`
	Mode      string `json:"mode"`
	Namespace string `json:"namespace"`
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	Document  string `json:"document"`
	Scope     string `json:"scope"`
	Detail    string `json:"detail"`

	// image is where the image is.
	image string
	// advised is what would make the image pass, as far as that follows from the requirement.
	advised string
}

func (r *checkResult) take(verdict policy.Verdict) {
	r.Allowed, r.Reason = verdict.Admitted(), string(verdict.Reason)
	r.Digest, r.Document, r.Scope = verdict.Digest.String(), verdict.Document, verdict.Scope
	r.Detail, r.advised = strings.TrimSpace(verdict.Detail), verdict.Advice()
}

func (r *checkResult) write(w io.Writer, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(r) //nolint:wrapcheck // The caller says what was being written.
	}
	_, err := io.WriteString(w, r.text())
	return err //nolint:wrapcheck // As above.
}

func (r *checkResult) text() string {
	outcome := "denied"
	switch exitStatus(policy.Reason(r.Reason)) {
	case exitAdmitted:
		outcome = "admitted"
	case exitCannotSay:
		outcome = "cannot say"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s in namespace %s", outcome, r.Reference, r.Namespace)
	if r.Document != "" {
		scope := "its default"
		if r.Scope != "" {
			scope = "scope " + r.Scope
		}
		fmt.Fprintf(&b, ", by %s of %s", scope, r.Document)
	}
	fmt.Fprintf(&b, " (%s)\n", r.Reason)
	if r.Allowed {
		return b.String()
	}
	if r.Detail != "" {
		fmt.Fprintf(&b, "why: %s\n", strings.ReplaceAll(r.Detail, "\n", " "))
	}
	if advice := r.advice(); advice != "" {
		fmt.Fprintf(&b, "to make it pass: %s\n", advice)
	}
	if r.Mode == "audit" {
		b.WriteString("the namespace is in audit mode: the daemon would report this and admit the container\n")
	}
	return b.String()
}

// advice says what would make a denied image pass.
func (r *checkResult) advice() string {
	switch policy.Reason(r.Reason) {
	case policy.Unsigned, policy.Rejected:
		if r.advised != "" && strings.HasPrefix(r.image, "dir:") {
			return r.advised + "; a directory like this has no Sigstore bundles: look with --image oci:PATH or " +
				"--image registry"
		}
		return r.advised
	case policy.UnknownOrigin:
		return "pull it under this very reference"
	case policy.Pending:
		return "start the daemon, which fetches missing evidence, or run countersign evidence fetch or import, and retry"
	case policy.Unavailable:
		if r.image == "containerd" {
			return "fix the cause above and retry; pull an image that is not on this node, or check it where it is with " +
				"--image registry, oci:PATH or dir:PATH"
		}
		return "fix the cause above and retry"
	case policy.InvalidPolicy:
		return "fix the cause above; a changed file is loaded without a restart"
	case policy.BadRequest:
		return "give a reference such as registry.example/app:v1, without docker://, and the name of a Kubernetes namespace"
	default:
		return ""
	}
}
