package daemon

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/plugin/internal/claim"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/text"
)

// describer describes the explanation of one question.
type describer struct {
	decider  *policy.Decider
	kinds    policy.Kinds
	question policy.Question
}

// Signers returns who made the signatures because of which an image is admitted: the key fingerprints or the identity
// that the requirement accepts, and what the accepted file claims. It returns none if no signature is required.
func Signers(ctx context.Context, decider *policy.Decider, kinds policy.Kinds, q policy.Question) []string {
	explained := decider.Explain(ctx, q)
	if !explained.Verdict.Admitted() {
		return nil
	}
	return signers([]ExplainedImage{describer{decider, kinds, q}.image(explained)})
}

// image describes an image and its evaluation.
func (d describer) image(explained policy.Explanation) ExplainedImage {
	image := ExplainedImage{
		Outcome: VerdictOf(explained.Verdict).Outcome, Config: d.question.Config.String(),
		TookSeconds: explained.ImageTook.Seconds(),
		Manifests:   []ExplainedManifest{}, Obtained: []string{}, Scopes: []ExplainedScope{}, Notes: []Note{},
	}
	if explained.ImageErr != nil {
		image.Problem = text.OfError(explained.ImageErr)
	}
	if found := explained.Image; found != nil {
		image.More = max(0, len(found.Manifests)-maxShownManifests) + max(0, len(found.PulledAs)-maxShownNames)
		for _, manifest := range found.Manifests[:min(len(found.Manifests), maxShownManifests)] {
			image.Manifests = append(image.Manifests, ExplainedManifest{
				Digest: manifest.Digest.String(), MediaType: manifest.MediaType,
				Repositories: append([]string{}, manifest.Repositories[:min(len(manifest.Repositories), maxShownNames)]...),
			})
		}
		for _, ref := range found.PulledAs[:min(len(found.PulledAs), maxShownNames)] {
			image.Obtained = append(image.Obtained, ref.String())
		}
	}
	slices.Sort(image.Obtained)
	image.Scopes = d.scopes(explained)
	for _, step := range explained.Steps {
		if step.Requirement == "" {
			image.Notes = append(image.Notes, Note{
				step.Reference, string(step.Finding.Reason), text.Shorten(step.Finding.Detail, maxDecisionDetail),
			})
		}
	}
	return image
}

// scopes describes the evaluation under each reference. If none was evaluated, it describes the scope that would apply.
func (d describer) scopes(explained policy.Explanation) []ExplainedScope {
	scopes := []ExplainedScope{}
	if explained.Document == nil {
		return scopes
	}
	var references []string
	for _, step := range explained.Steps {
		if step.Reference != "" && !slices.Contains(references, step.Reference) {
			references = append(references, step.Reference)
		}
	}
	if named, err := policy.Normalize(d.question.Reference); err == nil && len(references) == 0 {
		references = []string{named.String()}
	}
	for _, name := range references[:min(len(references), maxShownNames)] {
		named, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			continue
		}
		selected := explained.Select(named)
		scope := ExplainedScope{
			Reference: name, Document: explained.Document.Name, Scope: selected.Scope, IsDefault: selected.IsDefault,
			Enforced: (*EnforcedScope)(selected.Enforced), PassedOver: append([]string{}, selected.PassedOver...),
			Missed: selected.Missed, Requirements: []ExplainedRequirement{},
		}
		for i, requirement := range selected.List {
			steps := slices.DeleteFunc(slices.Clone(explained.Steps), func(step policy.Step) bool {
				return step.Reference != name || step.Requirement == "" || step.Index != i
			})
			scope.Requirements = append(scope.Requirements, d.requirement(requirement, steps))
		}
		scopes = append(scopes, scope)
	}
	return scopes
}

// requirement describes a requirement by the steps of its evaluation.
func (d describer) requirement(requirement *policy.Requirement, steps []policy.Step) ExplainedRequirement {
	described := ExplainedRequirement{
		Type: requirement.Kind, Requires: d.kinds.Describe(requirement), KeyFiles: requirement.KeyFiles,
		Audited: requirement.Audit, Result: "not evaluated", Tried: []Try{},
	}
	for i, step := range steps {
		met := d.decider.Met(step, d.question.Namespace)
		if described.Result != "met" {
			described.Result = map[bool]string{true: "met", false: "not met"}[met]
		}
		same := i > 0 && step.Manifest == steps[i-1].Manifest &&
			step.Evidence.Directory == steps[i-1].Evidence.Directory
		if !same {
			if len(described.Tried) == maxShownTries {
				break
			}
			described.Tried = append(described.Tried, newTry(requirement, step))
		}
		try := &described.Tried[len(described.Tried)-1]
		try.Judgements = append(try.Judgements, Judgement{
			Judge: step.Judge, Met: met, Reason: string(step.Finding.Reason),
			Detail: text.Shorten(strings.TrimSpace(step.Finding.Detail), maxDecisionDetail),
			Cached: step.Cached, TookSeconds: step.Took.Seconds(),
		})
	}
	return described
}

func newTry(requirement *policy.Requirement, step policy.Step) Try {
	try := Try{Manifest: step.Manifest.String(), Files: []claim.Claim{}}
	if !requirement.NeedsEvidence || requirement.Problem != "" {
		return try
	}
	evidence := step.Evidence
	try.Source, try.FetchedAt = evidence.Source, evidence.FetchedAt
	switch evidence.State {
	case policy.Found:
		try.Evidence = "found"
		if files, err := store.ReadFiles(evidence); err == nil {
			try.MoreFiles = max(0, len(files)-maxShownFiles)
			try.Files = append(try.Files, claim.Of(files)...)
			try.Files = try.Files[:min(len(try.Files), maxShownFiles)]
		}
	case policy.None:
		try.Evidence = "none"
	case policy.Failed:
		try.Evidence = "failed"
	case policy.Unknown:
		try.Evidence = "unknown"
	}
	return try
}

// signers describes who made the signatures that are accepted, by the requirements that they meet: key fingerprints or
// identities, and the times that the accepted files claim.
func signers(images []ExplainedImage) (found []string) {
	add := func(requirement ExplainedRequirement) {
		for _, try := range requirement.Tried {
			line := signer(requirement, try)
			if line != "" && !slices.Contains(found, line) {
				found = append(found, line)
			}
		}
	}
	for _, image := range images {
		for _, scope := range image.Scopes {
			for _, requirement := range scope.Requirements {
				add(requirement)
			}
		}
	}
	return found
}

func signer(requirement ExplainedRequirement, try Try) string {
	met := func(j Judgement) bool { return j.Met }
	if try.Evidence == "" || !slices.ContainsFunc(try.Judgements, met) {
		return ""
	}
	parts := []string{requirement.Requires}
	if len(try.Files) == 1 { // Of several, the one that is accepted is known at the next decision.
		file := try.Files[0]
		for _, part := range []struct{ name, value string }{
			{"key", file.Key}, {"signer", file.Signer}, {"issuer", file.Issuer}, {"at", file.Time},
		} {
			if part.value != "" {
				parts = append(parts, part.name+" "+part.value)
			}
		}
	}
	if !try.FetchedAt.IsZero() {
		parts = append(parts, "fetched "+try.FetchedAt.UTC().Format(time.RFC3339))
	}
	return strings.Join(parts, "; ")
}
