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

	// image is where the image is, and nameless that a signature lacks only the name of a repository. requirement is the
	// type of what was not met.
	image, requirement string
	nameless           bool
}

func (r *checkResult) take(verdict policy.Verdict) {
	r.Allowed, r.Reason = verdict.Admitted(), string(verdict.Reason)
	r.Digest, r.Document, r.Scope = verdict.Digest.String(), verdict.Document, verdict.Scope
	r.Detail, r.nameless = strings.TrimSpace(verdict.Detail), verdict.Nameless
	r.requirement = verdict.Requirement
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
	case policy.Unsigned:
		advice := fmt.Sprintf("sign it (cosign sign --key ... -a docker-reference=%s ...), "+
			"or have this namespace's policy accept it", r.repository())
		if strings.HasPrefix(r.image, "dir:") {
			advice += "; a directory like this has no Sigstore bundles: look with --image oci:PATH or --image registry"
		}
		return advice
	case policy.Rejected:
		if r.nameless {
			return fmt.Sprintf("sign it again with: cosign sign -a docker-reference=%s ...; or let the digest alone be "+
				"enough in this namespace, whatever repository the signature was made for: "+
				"[bundles.namespaces] %s = \"digest\" in config.toml", r.repository(), r.Namespace)
		}
		if r.requirement == "reject" {
			return "no signature would help; give the image a scope in the policy that accepts it or asks for a signature"
		}
		return "sign it again with a key and under an identity that the policy asks for, or change the policy for this " +
			"scope; its signedIdentity is to be matchRepository for signatures by cosign, which name no tag"
	case policy.UnknownOrigin:
		return "pull it under this very reference"
	case policy.Pending:
		return "start the daemon, which fetches what is not kept here yet, or have it fetched or brought with " +
			"countersign evidence fetch or import, and ask again"
	case policy.Unavailable:
		if r.image == "containerd" {
			return "mend what is named above and ask again; pull an image that is not on this node, or look where it is " +
				"with --image registry, oci:PATH or dir:PATH"
		}
		return "mend what is named above and ask again"
	case policy.InvalidPolicy:
		return "mend what is named above; it is read again by itself when it changes"
	case policy.BadRequest:
		return "give a reference such as registry.example/app:v1, without docker://, and the name of a Kubernetes namespace"
	default:
		return ""
	}
}

// repository is that of the reference, or a word for it.
func (r *checkResult) repository() string {
	named, err := policy.Normalize(r.Reference)
	if err != nil {
		return "REPOSITORY"
	}
	return named.Name()
}
