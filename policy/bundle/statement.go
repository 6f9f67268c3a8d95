package bundle

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy/internal/signedidentity"
	"github.com/countersign/countersign/policy/internal/strictjson"
)

// What cosign signs (pkg/types/predicate.go, v3.1.3): an in-toto statement, version 1, with an empty predicate.
const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	signPredicate = "https://sigstore.dev/cosign/sign/v1"
	// oldStatementType is the type of the statements of cosign attest.
	oldStatementType = "https://in-toto.io/Statement/v0.1"
)

// Limits of a statement; cosign's have one subject with one digest, and the signer's annotations.
const (
	maxStatement = 64 << 10
	maxSubjects  = 64
	maxDigests   = 16
)

// referenceAnnotation is the annotation with the name of the image.
const referenceAnnotation = "docker-reference"

// statement is the signed statement.
type statement struct {
	kind, predicate string
	subjects        []subject
}

// subject is a subject of a statement.
type subject struct {
	// digests are in hexadecimal, by the names of their algorithms.
	digests map[string]string
	// named reports whether there is an annotation docker-reference. reference is its value, or empty if it is not a
	// string.
	named     bool
	reference string
	// name is its name, which in attestations is that of a repository or of anything else.
	name string
}

// parseStatement parses the payload of an envelope. It skips the predicate, which may be large, without storing it.
// Names that in-toto's version 1 does not define are errors, and so are duplicate names: parsers disagree about them.
func parseStatement(payload []byte) (statement, error) {
	p := statementParser{walker: strictjson.NewWalker(payload, strictjson.Leniency{})}
	if err := p.walker.Object(p.member); err != nil {
		return statement{}, err
	}
	if err := p.walker.End("statement"); err != nil {
		return statement{}, err
	}
	return p.statement, nil
}

type statementParser struct {
	walker    *strictjson.Walker
	statement statement
}

func (p *statementParser) member(name string) (err error) {
	switch name {
	case "_type":
		p.statement.kind, err = p.walker.Text()
	case "predicateType":
		p.statement.predicate, err = p.walker.Text()
	case "subject":
		err = p.subjects()
	case "predicate":
		err = p.walker.Skip()
	default:
		err = fmt.Errorf("unknown key %q", name)
	}
	return err
}

func (p *statementParser) subjects() error {
	return p.walker.Array(func() error {
		if len(p.statement.subjects) == maxSubjects {
			return fmt.Errorf("it has more than %d subjects", maxSubjects)
		}
		subject := subject{digests: make(map[string]string, 1)}
		err := p.walker.Object(func(name string) error { return p.subjectMember(&subject, name) })
		if err != nil {
			return fmt.Errorf("subject %d: %w", len(p.statement.subjects)+1, err)
		}
		p.statement.subjects = append(p.statement.subjects, subject)
		return nil
	})
}

func (p *statementParser) subjectMember(subject *subject, name string) error {
	switch name {
	case "digest":
		return p.walker.Object(func(algorithm string) (err error) {
			if len(subject.digests) == maxDigests {
				return fmt.Errorf("it has more than %d digests", maxDigests)
			}
			subject.digests[algorithm], err = p.walker.Text()
			return err
		})
	case "annotations":
		return p.walker.Object(func(annotation string) error {
			if annotation != referenceAnnotation {
				return p.walker.Skip()
			}
			return p.reference(subject)
		})
	case "name":
		return p.text(&subject.name)
	case "uri", "content", "downloadLocation", "mediaType":
		return p.walker.Skip()
	default:
		return fmt.Errorf("unknown key %q", name)
	}
}

// reference reads the annotation. One that is not a string exists, but names no repository.
func (p *statementParser) reference(subject *subject) error {
	subject.named = true
	return p.text(&subject.reference)
}

// text reads a value if it is a string.
func (p *statementParser) text(into *string) error {
	value, err := p.walker.Value()
	if err != nil || value.Kind() != '"' {
		return err
	}
	return json.Unmarshal(value, into)
}

// repository returns the name that the subject of an attestation claims, if it names a repository. cosign and GitHub
// write the repository as the subject's name, others a file or a package.
func (s subject) repository() (name string, ok bool) {
	if s.named {
		return s.reference, true
	}
	host, _, isPath := strings.Cut(s.name, "/")
	if !isPath || len(s.name) > signedidentity.MaxReference || host != "localhost" && !strings.ContainsAny(host, ".:") {
		return "", false
	}
	if _, err := reference.ParseNormalizedNamed(s.name); err != nil {
		return "", false
	}
	return s.name, true
}
