package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// checkResult is what check prints. Its JSON is a public interface, to which fields are only added. It has the fields
// of a [daemon.Verdict] in two parts, to preserve their order.
type checkResult struct {
	daemon.Outcome
	Mode      string `json:"mode"`
	Namespace string `json:"namespace"`
	Reference string `json:"reference"`
	daemon.Basis

	// FoundBy is how the images of this node's containers are identified, if the image is on this node.
	FoundBy policy.FoundBy `json:"found_by,omitempty"`

	// Signers are who made the signatures that are accepted.
	Signers []string `json:"signers,omitempty"`

	// Daemon describes the running daemon; if it answers, the verdict above is its verdict. Files is the verdict by the
	// files on disk, which a daemon that starts now would reach. Both are set if check asked the daemon.
	Daemon *daemonReport   `json:"daemon,omitempty"`
	Files  *daemon.Verdict `json:"files,omitempty"`

	// image is the value of --image. requirementAdvice is what would satisfy the requirement, if that is known.
	image, requirementAdvice string
}

// set sets the verdict.
func (r *checkResult) set(verdict daemon.Verdict, advice string) {
	r.Outcome, r.Basis, r.requirementAdvice = verdict.Outcome, verdict.Basis, advice
}

// setDaemon sets the daemon's answer; its verdict replaces the verdict by the files.
func (r *checkResult) setDaemon(report daemonReport, answer *daemon.CheckAnswer) {
	r.Daemon = &report
	r.Files = &daemon.Verdict{Outcome: r.Outcome, Basis: r.Basis}
	if answer != nil {
		r.set(answer.Verdict, answer.Advice)
		r.Mode = answer.Mode
		r.FoundBy = cmp.Or(answer.FoundBy, r.FoundBy)
		r.Signers = answer.Signers
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
	outcome := outcomeWord(policy.Reason(r.Reason))
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
	if r.FoundBy == policy.FoundByLayers {
		b.WriteString("containerd does not report images: any image of this repository with the same layers must be " +
			"accepted too (found by layers)\n")
	}
	if r.WouldDeny != "" {
		fmt.Fprintf(&b, "audit: %s\n", strings.ReplaceAll(r.Detail, "\n", " "))
	}
	if r.Allowed {
		for _, signer := range r.Signers {
			fmt.Fprintf(&b, "signed: %s\n", text.OneLine(signer))
		}
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

// comparison describes whether the daemon answers, and how the files on disk differ from what it applies.
func (r *checkResult) comparison() string {
	switch {
	case r.Daemon == nil:
		return ""
	case !r.Daemon.Answers:
		return "the daemon does not answer, so this is the verdict by the files: " + r.Daemon.Problem + "; until it " +
			"answers, containerd creates no container if it requires countersign, and otherwise any container unchecked\n"
	case r.Files.Reason != r.Reason || r.Files.Document != r.Document || r.Files.Scope != r.Scope:
		return fmt.Sprintf("this is the running daemon's verdict; by the files on disk the image is %s (%s): %s\n",
			map[bool]string{true: "admitted", false: "denied"}[r.Files.Allowed], r.Files.Reason, differs(r.Files))
	default:
		return ""
	}
}

// differs explains why the verdict by the files differs from the daemon's.
func differs(files *daemon.Verdict) string {
	switch policy.Reason(files.Reason) {
	case policy.InvalidPolicy:
		return "an earlier version of the document is in force: " + files.Detail
	case policy.Pending:
		return "the daemon has signatures of the image that are not stored on disk"
	default:
		return "a changed document applies within two seconds, and a changed config.toml after systemctl reload " +
			"countersign"
	}
}

// advice returns what would make a denied image pass.
func (r *checkResult) advice() string {
	question := adviceQuestion{r.image, r.requirementAdvice, r.Daemon != nil && r.Daemon.Answers}
	return question.advice(policy.Reason(r.Reason))
}

// adviceQuestion is what advice depends on, besides the reason.
type adviceQuestion struct {
	// image is the value of --image, and requirement what would satisfy the requirement, if that is known.
	image, requirement string
	daemonAnswers      bool
}

// advice returns what would make an image pass that is denied for a reason.
func (q adviceQuestion) advice(reason policy.Reason) string {
	switch reason {
	case policy.Unsigned, policy.Rejected:
		if q.requirement != "" && strings.HasPrefix(q.image, "dir:") {
			return q.requirement + "; a dir: directory contains no Sigstore bundles: use --image oci:PATH or " +
				"--image registry"
		}
		return q.requirement
	case policy.UnknownOrigin:
		return "pull the image under exactly this reference"
	case policy.Pending:
		if q.daemonAnswers {
			return "retry in a few seconds: the daemon is fetching what is missing"
		}
		return "start the daemon, which fetches missing evidence, or run countersign evidence fetch or import, and retry"
	case policy.Unavailable:
		if q.image == "containerd" {
			return "fix the cause above and retry; if the image is not on this node, pull it, or check it with " +
				"--image registry, oci:PATH or dir:PATH"
		}
		return "fix the cause above and retry"
	case policy.InvalidPolicy:
		return "fix the cause above; a changed file is loaded without a restart"
	case policy.BadRequest:
		return "give a reference such as registry.example/app:v1, without docker://, and the name of a Kubernetes namespace"
	case policy.Internal:
		return "report this as a bug in countersign, with the cause above"
	default:
		return ""
	}
}
