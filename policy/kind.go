package policy

import (
	"errors"
	"fmt"

	"github.com/distribution/reference"
)

// Kind is the kind of a requirement: the value of its "type" in a document.
type Kind string

// The kinds of containers-policy.json(5).
const (
	InsecureAcceptAnything Kind = "insecureAcceptAnything"
	Reject                 Kind = "reject"
	SignedBy               Kind = "signedBy"
	SigstoreSigned         Kind = "sigstoreSigned"
	SignedBaseLayer        Kind = "signedBaseLayer"
)

// Attested is a kind of countersign's own: it is met by an attestation, a signed in-toto statement about the image.
const Attested Kind = "attested"

// Kinds is the table of all kinds of requirements. The daemon's wiring builds it for the parser of documents and for
// the [Decider]: a new kind is one package and one row.
type Kinds map[Kind]KindSpec

// KindSpec is one row of [Kinds].
type KindSpec struct {
	// NeedsEvidence reports whether requirements of this kind are met by signatures.
	NeedsEvidence bool
	// Parse returns an error if the text of a requirement is invalid. A document with an invalid requirement does not
	// load. Parse is nil for the kinds that the parser of documents checks itself.
	Parse func(raw []byte) error
	// Extension reports whether the kind is not one of containers-policy.json(5): other tools refuse its documents.
	Extension bool
	// Validate returns the requirement with the contents of its key files instead of their paths, or why no signature can
	// ever meet it, which becomes [Requirement].Problem. Nil: only the paths are replaced.
	Validate ValidateFunc
	// Judges are called in order for each manifest, and one yes is enough.
	Judges []Judge
	// Advise returns what would make an image meet a requirement of this kind. It may be nil.
	Advise AdviseFunc
	// Describe returns what a requirement of this kind requires. It may be nil.
	Describe DescribeFunc
}

// ValidateFunc is the type of [KindSpec].Validate. It gets a requirement in the JSON of its document; read returns the
// contents of a key file.
type ValidateFunc func(raw []byte, read func(path string) ([]byte, error)) ([]byte, error)

// AdviseFunc returns what would make the image meet the requirement under the reference, given the cause, or an empty
// string.
type AdviseFunc func(requirement *Requirement, cause Cause, ref reference.Named) string

// DescribeFunc returns what a requirement without a Problem requires, in a few words.
type DescribeFunc func(*Requirement) string

// Judge is a [JudgeFunc] and its name, which the steps of an evaluation show.
type Judge struct {
	Name string
	Func JudgeFunc
}

// AddJudge adds a judge to a kind that is in the table.
func (k Kinds) AddJudge(kind Kind, judge Judge) {
	spec := k[kind]
	spec.Judges = append(spec.Judges, judge)
	k[kind] = spec
}

// Advice returns what would make a denied image pass, from the requirement that is not met and its cause, or an empty
// string. It is for readers who may see the policy.
func (k Kinds) Advice(v Verdict) string {
	if v.Admitted() || v.Unmet == nil || v.Unmet.Problem != "" || k[v.Unmet.Kind].Advise == nil {
		return ""
	}
	named, err := reference.ParseNormalizedNamed(v.Reference)
	if err != nil {
		return ""
	}
	return k[v.Unmet.Kind].Advise(v.Unmet, v.Cause, named)
}

// Describe returns what the requirement requires, in one line. It is for readers who may see the policy.
func (k Kinds) Describe(requirement *Requirement) string {
	audit := ""
	if requirement.Audit {
		audit = "not enforced, only reported: "
	}
	if requirement.Problem != "" {
		return audit + "can never be met: " + requirement.Problem
	}
	if describe := k[requirement.Kind].Describe; describe != nil {
		return audit + describe(requirement)
	}
	return audit
}

// validate returns an error unless requirements of every kind can be judged.
func (k Kinds) validate() error {
	if len(k) == 0 {
		return errors.New("the table of requirement kinds is required")
	}
	for kind, spec := range k {
		if len(spec.Judges) == 0 {
			return fmt.Errorf("kind %q has no judge", kind)
		}
		for _, judge := range spec.Judges {
			if judge.Func == nil {
				return fmt.Errorf("judge %q of requirements of kind %q is nil", judge.Name, kind)
			}
		}
	}
	return nil
}
