package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/claim"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// explanationWriter writes an explanation as lines of text.
type explanationWriter struct{ strings.Builder }

// line writes one line, indented by two spaces for each level.
func (w *explanationWriter) line(level int, format string, values ...any) {
	fmt.Fprintf(w, "%s%s\n", strings.Repeat("  ", level), text.OneLine(fmt.Sprintf(format, values...)))
}

// explanationText is what explain prints: the verdict, what would make it pass, and then the steps.
func explanationText(e *daemon.Explanation) string {
	w := &explanationWriter{}
	w.line(0, "%s: %s in namespace %s (%s)", outcomeWord(policy.Reason(e.Reason)), e.Reference, e.Namespace, e.Reason)
	if e.Allowed {
		for _, signer := range e.Signers {
			w.line(0, "signed: %s", signer)
		}
		if e.WouldDeny != "" {
			w.line(0, "audit: %s", e.Detail)
		}
	} else if e.Detail != "" {
		w.line(0, "why: %s", e.Detail)
	}
	if e.Advice != "" {
		w.line(0, "to make it pass: %s", e.Advice)
	}
	if e.Mode == "audit" && !e.Allowed {
		w.line(0, "the namespace is in audit mode: this is reported, and the container is admitted")
	}
	w.decisions(e)
	w.line(0, "question: may namespace %s (mode %s) run %s?", e.Namespace, e.Mode, e.Reference)
	w.rootFS(e)
	for i := range e.Images {
		w.image(e, &e.Images[i])
	}
	w.line(0, "took: %s", took(e.TookSeconds))
	return w.String()
}

func outcomeWord(reason policy.Reason) string {
	switch exitStatus(reason) {
	case exitAdmitted:
		return "admitted"
	case exitDenied:
		return "denied"
	default:
		return "unknown"
	}
}

func took(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Microsecond).String()
}

func (w *explanationWriter) decisions(e *daemon.Explanation) {
	if len(e.Decisions) == 0 {
		return
	}
	w.line(0, "last decisions, from %s:", e.Source)
	for _, past := range e.Decisions {
		of := past.Container
		if past.Volume != "" {
			of += ", its image volume at " + past.Volume
		}
		w.line(1, "%s %s of %s/%s/%s: %s (%s)", past.Time.UTC().Format(time.RFC3339), past.Stage, past.Namespace,
			past.Pod, of, past.Outcome, past.Reason)
		if past.Detail != "" && past.Reason != e.Reason {
			w.line(2, "%s", past.Detail)
		}
	}
	last := e.Decisions[0]
	if last.Reason != string(policy.Accepted) && e.Allowed && e.WouldDeny == "" {
		w.line(1, "by the policy and the signatures of now the image is accepted: the next attempt decides again")
	}
}

func (w *explanationWriter) rootFS(e *daemon.Explanation) {
	switch {
	case e.RootFS != nil && e.RootFS.Result == "yes":
		w.line(0, "root filesystem: container %s runs on the layers of the image", e.RootFS.ContainerID)
	case e.RootFS != nil:
		w.line(0, "root filesystem: whether container %s runs on the layers of the image: %s: %s",
			e.RootFS.ContainerID, e.RootFS.Result, e.RootFS.Detail)
	case e.Pod != "":
		w.line(0, "root filesystem: compared with the image whenever the container is to be created")
	}
}

func (w *explanationWriter) image(e *daemon.Explanation, image *daemon.ExplainedImage) {
	if image.Config == "" {
		w.line(0, "image: not known")
	} else {
		found := ""
		if e.FoundBy != "" {
			found = fmt.Sprintf(", identified by %s", e.FoundBy)
		}
		w.line(0, "image: config %s%s, found in %s", image.Config, found, took(image.TookSeconds))
	}
	if image.Problem != "" {
		w.line(1, "%s", image.Problem)
	}
	for _, manifest := range image.Manifests {
		w.line(1, "manifest %s (%s) in %s", manifest.Digest, manifest.MediaType, strings.Join(manifest.Repositories, ", "))
	}
	for _, name := range image.Obtained {
		w.line(1, "obtained as %s", name)
	}
	if image.More > 0 {
		w.line(1, "and %d more", image.More)
	}
	for i := range image.Scopes {
		w.scope(&image.Scopes[i])
	}
	for _, note := range image.Notes {
		w.line(0, "%s: %s", note.Reason, note.Detail)
	}
}

func (w *explanationWriter) scope(s *daemon.ExplainedScope) {
	w.line(0, "policy for %s: %s of %s", s.Reference, scopeTitle(s.Scope, s.IsDefault), s.Document)
	if s.Enforced != nil {
		w.line(1, "%s", enforcedFrom(s.Enforced))
	}
	for _, other := range s.PassedOver {
		w.line(1, "less specific, not used: %s", scopeName(other, false))
	}
	if s.Missed != "" {
		w.line(1, "%s", s.Missed)
	}
	for i, requirement := range s.Requirements {
		w.line(0, "requirement %d: %s: %s: %s", i+1, requirement.Result, requirement.Type, requirement.Requires)
		if len(requirement.KeyFiles) > 0 {
			w.line(1, "its keys are in %s", strings.Join(requirement.KeyFiles, ", "))
		}
		for j := range requirement.Tried {
			w.try(&requirement.Tried[j])
		}
	}
}

func scopeTitle(scope string, isDefault bool) string {
	if isDefault {
		return "the default"
	}
	return "scope " + scopeName(scope, false)
}

func (w *explanationWriter) try(try *daemon.Try) {
	if try.Evidence != "" {
		line := "manifest " + try.Manifest + ": " + map[string]string{
			"found": "signatures are stored", "none": "the registry has no signature",
			"failed": "fetching signatures failed", "unknown": "nothing is known about signatures yet",
		}[try.Evidence]
		if try.Source != "" {
			line += ", from " + try.Source
		}
		if !try.FetchedAt.IsZero() {
			line += ", as of " + try.FetchedAt.UTC().Format(time.RFC3339)
		}
		w.line(1, "%s", line)
	}
	for _, file := range try.Files {
		w.line(2, "%s claims: %s", file.File, claims(file))
	}
	if try.MoreFiles > 0 {
		w.line(2, "and %d more files", try.MoreFiles)
	}
	for _, judged := range try.Judgements {
		line := "met"
		if !judged.Met {
			line = judged.Reason + ": " + judged.Detail
		}
		if judged.Judge != "" {
			line = "judge " + judged.Judge + ": " + line
		}
		if judged.Cached {
			line += " (from the cache)"
		}
		w.line(2, "%s (%s)", line, took(judged.TookSeconds))
	}
}

// claims describes what a file claims, in one line.
func claims(c claim.Claim) string {
	parts := []string{c.Kind}
	type part struct{ name, value string }
	said := []part{
		{"identity", c.Identity},
		{"manifest", c.Manifest},
		{"key", c.Key},
		{"signer", c.Signer},
		{"issuer", c.Issuer},
		{"time", c.Time},
		{"predicate", c.Predicate},
		{"problem", c.Problem},
	}
	for _, stamp := range c.Timestamps {
		said = append(said, part{"timestamp", stamp.String()})
	}
	for _, part := range said {
		if part.value != "" {
			parts = append(parts, part.name+" "+part.value)
		}
	}
	return strings.Join(parts, ", ")
}
