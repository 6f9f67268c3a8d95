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

// Kinds is the table of all kinds of requirements. The daemon's wiring builds it, and gives it to the parser of
// documents and to the [Decider]: a new kind is one package and one row.
type Kinds map[Kind]KindSpec

// KindSpec is one row of [Kinds].
type KindSpec struct {
	// NeedsEvidence reports whether signatures decide whether a requirement of this kind is met.
	NeedsEvidence bool
	// Parse returns what is wrong with the text of a requirement, or nil. A document with such a requirement does not
	// load. It is nil for the kinds of containers-policy.json(5), which the parser of documents checks itself.
	Parse func(raw []byte) error
	// Validate returns the requirement with the contents of its key files in place of their paths, or why no signature
	// can ever meet it, which becomes [Requirement].Problem. Nil: nothing but the paths is replaced.
	Validate ValidateFunc
	// Judges are asked in order about each manifest, and one yes is enough.
	Judges []Judge
	// Advise says what would make an image meet a requirement of this kind. It may be nil.
	Advise AdviseFunc
}

// ValidateFunc is [KindSpec].Validate. It gets a requirement in JSON as it stands in a document, and read returns the
// contents of a key file.
type ValidateFunc func(raw []byte, read func(path string) ([]byte, error)) ([]byte, error)

// AdviseFunc returns what would make the image meet the requirement under the reference, given why it does not;
// empty: there is nothing to say.
type AdviseFunc func(requirement *Requirement, cause Cause, ref reference.Named) string

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

// Advice returns what would make a denied image pass, from the requirement that is not met and the cause of that;
// empty: there is nothing to say. It is for those who may read the policy.
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

// validate returns an error unless requirements of every kind can be judged.
func (k Kinds) validate() error {
	if len(k) == 0 {
		return errors.New("a decider needs a table of requirement kinds")
	}
	for kind, spec := range k {
		if len(spec.Judges) == 0 {
			return fmt.Errorf("a decider needs a judge of requirements of kind %q", kind)
		}
		for _, judge := range spec.Judges {
			if judge.Func == nil {
				return fmt.Errorf("judge %q of requirements of kind %q is nil", judge.Name, kind)
			}
		}
	}
	return nil
}
