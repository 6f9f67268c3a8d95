package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// What cosign signs (pkg/types/predicate.go, v3.1.3): an in-toto statement, version 1, whose predicate is empty.
const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	signPredicate = "https://sigstore.dev/cosign/sign/v1"
)

// Bounds of a statement; cosign's have one subject with one digest, and the annotations that the signer gave.
const (
	maxStatement = 64 << 10
	maxSubjects  = 64
	maxDigests   = 16
)

// referenceAnnotation names the repository that is signed for.
const referenceAnnotation = "docker-reference"

// statement is what is signed.
type statement struct {
	kind, predicate string
	subjects        []subject
}

// subject is what a statement speaks of.
type subject struct {
	// digests are in hexadecimal, by the names of their algorithms.
	digests map[string]string
	// named says that there is an annotation docker-reference, and reference is its value, which is empty where the
	// annotation is no string.
	named     bool
	reference string
}

// parseStatement parses the payload of an envelope. It reads a predicate, which may be large, without keeping it. Names
// that in-toto's version 1 does not have are errors, and so are names that occur twice: no two parsers agree on them.
func parseStatement(payload []byte) (statement, error) {
	p := statementParser{decoder: jsontext.NewDecoder(bytes.NewBuffer(payload))}
	if err := p.object(p.member); err != nil {
		return statement{}, err
	}
	if _, err := p.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return statement{}, errors.New("there is data after the statement")
	}
	return p.statement, nil
}

type statementParser struct {
	decoder   *jsontext.Decoder
	statement statement
}

func (p *statementParser) member(name string) (err error) {
	switch name {
	case "_type":
		p.statement.kind, err = p.text()
	case "predicateType":
		p.statement.predicate, err = p.text()
	case "subject":
		err = p.subjects()
	case "predicate":
		err = p.decoder.SkipValue()
	default:
		err = fmt.Errorf("unknown key %q", name)
	}
	return err
}

func (p *statementParser) subjects() error {
	if err := p.begin('['); err != nil {
		return err
	}
	for p.decoder.PeekKind() != ']' {
		if len(p.statement.subjects) == maxSubjects {
			return fmt.Errorf("it has more than %d subjects", maxSubjects)
		}
		subject := subject{digests: make(map[string]string, 1)}
		if err := p.object(func(name string) error { return p.subjectMember(&subject, name) }); err != nil {
			return fmt.Errorf("subject %d: %w", len(p.statement.subjects)+1, err)
		}
		p.statement.subjects = append(p.statement.subjects, subject)
	}
	_, err := p.decoder.ReadToken()
	return err
}

func (p *statementParser) subjectMember(subject *subject, name string) error {
	switch name {
	case "digest":
		return p.object(func(algorithm string) (err error) {
			if len(subject.digests) == maxDigests {
				return fmt.Errorf("it has more than %d digests", maxDigests)
			}
			subject.digests[algorithm], err = p.text()
			return err
		})
	case "annotations":
		return p.object(func(annotation string) error {
			if annotation != referenceAnnotation {
				return p.decoder.SkipValue()
			}
			return p.reference(subject)
		})
	case "name", "uri", "content", "downloadLocation", "mediaType":
		return p.decoder.SkipValue()
	default:
		return fmt.Errorf("unknown key %q", name)
	}
}

// reference reads the annotation. One that is no string names no repository that is accepted, but it is there.
func (p *statementParser) reference(subject *subject) error {
	subject.named = true
	value, err := p.decoder.ReadValue()
	if err != nil || value.Kind() != '"' {
		return err
	}
	return json.Unmarshal(value, &subject.reference)
}

// object reads an object and calls member for each name; member reads the value.
func (p *statementParser) object(member func(name string) error) error {
	if err := p.begin('{'); err != nil {
		return err
	}
	for p.decoder.PeekKind() != '}' {
		token, err := p.decoder.ReadToken()
		if err != nil {
			return err
		}
		if err := member(token.String()); err != nil {
			return err
		}
	}
	_, err := p.decoder.ReadToken()
	return err
}

func (p *statementParser) begin(kind jsontext.Kind) error {
	token, err := p.decoder.ReadToken()
	if err == nil && token.Kind() != kind {
		return fmt.Errorf("there is a %s where a %s should be", token.Kind(), kind)
	}
	return err
}

func (p *statementParser) text() (string, error) {
	token, err := p.decoder.ReadToken()
	if err == nil && token.Kind() != '"' {
		return "", fmt.Errorf("there is a %s where a string should be", token.Kind())
	}
	if err != nil {
		return "", err
	}
	return token.String(), nil
}
