package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/countersign/countersign/policy"
)

// checkResult is what check prints; its JSON is an interface, and only grows.
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

	// Daemon is the running daemon's verdict, which is the one above if it answers, and Files that of the files on disk,
	// as a daemon that starts now would decide. Both are there where the daemon was to be asked.
	Daemon *daemonAnswer `json:"daemon,omitempty"`
	Files  *verdictJSON  `json:"files,omitempty"`

	// image is where the image is, and advised what would make it pass, as far as that follows from the requirement.
	image, advised string
}

// verdictJSON is a verdict as check prints it.
type verdictJSON struct {
	Allowed  bool   `json:"allowed"`
	Reason   string `json:"reason"`
	Digest   string `json:"digest"`
	Document string `json:"document"`
	Scope    string `json:"scope"`
	Detail   string `json:"detail"`
}

func verdictJSONOf(verdict policy.Verdict) verdictJSON {
	return verdictJSON{
		Allowed: verdict.Admitted(), Reason: string(verdict.Reason), Digest: verdict.Digest.String(),
		Document: verdict.Document, Scope: verdict.Scope, Detail: strings.TrimSpace(verdict.Detail),
	}
}

// take is given the verdict of the files.
func (r *checkResult) take(verdict policy.Verdict) {
	r.set(verdictJSONOf(verdict), requirementKinds(nil).Advice(verdict))
}

func (r *checkResult) set(v verdictJSON, advice string) {
	r.Allowed, r.Reason, r.Digest, r.Document, r.Scope = v.Allowed, v.Reason, v.Digest, v.Document, v.Scope
	r.Detail, r.advised = v.Detail, advice
}

// takeDaemon is given what the daemon answered, whose verdict then counts.
func (r *checkResult) takeDaemon(reported daemonAnswer, answer *checkAnswer) {
	r.Daemon = &reported
	r.Files = &verdictJSON{r.Allowed, r.Reason, r.Digest, r.Document, r.Scope, r.Detail}
	if answer != nil {
		r.set(answer.verdictJSON, answer.Advice)
		r.Mode = answer.Mode
	}
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
	b.WriteString(r.comparison())
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

// comparison says whether the daemon answers, and how the files on disk differ from what it has in force.
func (r *checkResult) comparison() string {
	switch {
	case r.Daemon == nil:
		return ""
	case !r.Daemon.Answers:
		return "the daemon does not answer, so this is the verdict of the files: " + r.Daemon.Problem + "; until it " +
			"answers, containerd creates no container where it requires countersign, and any unchecked where it does not\n"
	case r.Files.Reason != r.Reason || r.Files.Document != r.Document || r.Files.Scope != r.Scope:
		return fmt.Sprintf("this is the running daemon's verdict; the files on disk give another, %s (%s): %s\n",
			map[bool]string{true: "admitted", false: "denied"}[r.Files.Allowed], r.Files.Reason, differs(r.Files))
	default:
		return ""
	}
}

// differs says why the files give another verdict than the daemon.
func differs(files *verdictJSON) string {
	switch policy.Reason(files.Reason) {
	case policy.InvalidPolicy:
		return "an earlier version of the document is in force: " + files.Detail
	case policy.Pending:
		return "the daemon knows more of the image's signatures than is stored"
	default:
		return "a changed document is in force within two seconds, and a changed config.toml after systemctl reload " +
			"countersign"
	}
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
		if r.Daemon != nil && r.Daemon.Answers {
			return "retry in some seconds: the daemon is fetching what is missing"
		}
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
