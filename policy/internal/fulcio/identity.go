package fulcio

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Identity is the part of a policy's "fulcio" that says who has to sign.
type Identity struct {
	OIDCIssuer   string `json:"oidcIssuer"`
	SubjectEmail string `json:"subjectEmail,omitempty"`
	// The following fields are extensions of countersign.
	SubjectURI               string `json:"subjectURI,omitempty"`
	SubjectURIPattern        string `json:"subjectURIPattern,omitempty"`
	BuildSignerURI           string `json:"buildSignerURI,omitempty"`
	SourceRepositoryURI      string `json:"sourceRepositoryURI,omitempty"`
	SourceRepositoryRef      string `json:"sourceRepositoryRef,omitempty"`
	SourceRepositoryOwnerURI string `json:"sourceRepositoryOwnerURI,omitempty"`
	RunnerEnvironment        string `json:"runnerEnvironment,omitempty"`
	BuildTrigger             string `json:"buildTrigger,omitempty"`
}

// Names of the fields that identify the signer, of which a requirement has exactly one.
const (
	SubjectEmail      = "subjectEmail"
	SubjectURI        = "subjectURI"
	SubjectURIPattern = "subjectURIPattern"
	BuildSignerURI    = "buildSignerURI"
)

// Subjects returns the names of the fields of which a requirement has exactly one.
func Subjects() []string {
	return []string{SubjectEmail, SubjectURI, SubjectURIPattern, BuildSignerURI}
}

// maxValue limits URIs and other values, in bytes. Those of GitHub have a few hundred.
const maxValue = 1024

// Field returns the value of an extension by the name of its field, or nil if there is no such extension.
func (i *Identity) Field(name string) *string {
	switch name {
	case SubjectURI:
		return &i.SubjectURI
	case SubjectURIPattern:
		return &i.SubjectURIPattern
	case BuildSignerURI:
		return &i.BuildSignerURI
	}
	for _, claim := range i.claims() {
		if claim.field == name {
			return claim.want
		}
	}
	return nil
}

// claim is a value that the issuer vouched for, in an extension of the certificate (fulcio, docs/oid-info.md).
type claim struct {
	field, title string
	number       int
	want         *string
}

// claims returns the claims that a requirement may compare in addition to the signer.
func (i *Identity) claims() []claim {
	return []claim{
		{"sourceRepositoryURI", "source repository", 12, &i.SourceRepositoryURI},
		{"sourceRepositoryRef", "source repository ref", 14, &i.SourceRepositoryRef},
		{"sourceRepositoryOwnerURI", "source repository owner", 16, &i.SourceRepositoryOwnerURI},
		{"runnerEnvironment", "runner environment", 11, &i.RunnerEnvironment},
		{"buildTrigger", "build trigger", 20, &i.BuildTrigger},
	}
}

// wantedClaims returns the claims that the requirement compares.
func (i *Identity) wantedClaims() []claim {
	return slices.DeleteFunc(i.claims(), func(c claim) bool { return *c.want == "" })
}

// Extended reports whether the identity uses extensions of countersign.
func (i *Identity) Extended() bool {
	return i.SubjectURI+i.SubjectURIPattern+i.BuildSignerURI != "" || len(i.wantedClaims()) > 0
}

// String describes the signer in one line.
func (i *Identity) String() string {
	subject := i.SubjectEmail
	switch {
	case i.SubjectURI != "":
		subject = i.SubjectURI
	case i.SubjectURIPattern != "":
		subject = "a workflow whose URI matches " + i.SubjectURIPattern
	case i.BuildSignerURI != "":
		subject = "a workflow built by " + i.BuildSignerURI
	}
	for _, claim := range i.wantedClaims() {
		subject += fmt.Sprintf(", %s %s", claim.title, *claim.want)
	}
	return subject + ", authenticated by " + i.OIDCIssuer
}

// FieldError is why the value of a field is not valid.
type FieldError struct {
	Field string
	Err   error
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *FieldError) Unwrap() error { return e.Err }

// Signer is an [Identity] that certificates can be compared with. Create one with [NewSigner].
type Signer struct {
	Identity

	pattern *regexp.Regexp
}

// NewSigner returns an error unless some certificate of Fulcio can have the identity, and none of another owner.
func NewSigner(identity Identity) (*Signer, error) {
	if identity.OIDCIssuer == "" {
		return nil, errors.New("oidcIssuer is missing")
	}
	subjects := []string{identity.SubjectEmail, identity.SubjectURI, identity.SubjectURIPattern, identity.BuildSignerURI}
	subjects = slices.DeleteFunc(subjects, func(subject string) bool { return subject == "" })
	if len(subjects) != 1 {
		return nil, fmt.Errorf("it has %d of %s, and must have exactly one",
			len(subjects), strings.Join(Subjects(), ", "))
	}
	if err := identity.checkValues(); err != nil {
		return nil, err
	}
	signer := &Signer{Identity: identity}
	if identity.SubjectURIPattern != "" {
		var err error
		if signer.pattern, err = compilePattern(identity.SubjectURIPattern); err != nil {
			return nil, &FieldError{SubjectURIPattern, err}
		}
	}
	return signer, nil
}

// checkValues returns an error if no certificate can have the values.
func (i *Identity) checkValues() error {
	for _, field := range []string{SubjectURI, BuildSignerURI, "sourceRepositoryURI", "sourceRepositoryOwnerURI"} {
		if value := *i.Field(field); value != "" {
			if err := checkURI(value); err != nil {
				return &FieldError{field, err}
			}
		}
	}
	for _, claim := range i.wantedClaims() {
		if err := checkText(*claim.want); err != nil {
			return &FieldError{claim.field, err}
		}
	}
	return nil
}

// checkURI returns an error if no certificate can have this URI.
func checkURI(value string) error {
	if err := checkText(value); err != nil {
		return err
	}
	if strings.Contains(value, " ") {
		return fmt.Errorf("%q contains a space, which a URI does not", value)
	}
	if parsed, err := url.Parse(value); err != nil || parsed.Scheme == "" {
		return fmt.Errorf("%q is not a URI with a scheme, such as https://github.com/OWNER/REPOSITORY", value)
	}
	return nil
}

// checkText returns an error if no certificate can have this value.
func checkText(value string) error {
	if len(value) > maxValue {
		return fmt.Errorf("it has %d bytes, and the maximum is %d", len(value), maxValue)
	}
	if at := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r > '~' }); at >= 0 {
		return fmt.Errorf("%q contains a character that is not printable ASCII", value)
	}
	return nil
}
