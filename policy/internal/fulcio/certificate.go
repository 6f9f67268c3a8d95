package fulcio

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// extensionOf returns the object identifier of an extension of Fulcio.
func extensionOf(number int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, number}
}

// subjectAltName is the object identifier of the alternative names (RFC 5280, section 4.2.1.6).
func subjectAltName() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 17} }

// Extensions of Fulcio (docs/oid-info.md).
const (
	issuerRaw      = 1
	issuerEncoded  = 8
	buildSignerURI = 9
)

// Tags of the names in a certificate.
const (
	tagEmail = 1
	tagURI   = 6
)

// Check returns nil if the certificate is the signer's. Its chain must have been verified.
func (s *Signer) Check(leaf *x509.Certificate) error {
	issuer, err := Issuer(leaf)
	if err != nil {
		return err
	}
	if issuer != s.OIDCIssuer {
		return fmt.Errorf("the OIDC issuer in its certificate is %q, not %q", issuer, s.OIDCIssuer)
	}
	if !s.Extended() {
		if !slices.Contains(leaf.EmailAddresses, s.SubjectEmail) {
			return fmt.Errorf("its certificate is for %q, not for the e-mail address %q", leaf.EmailAddresses, s.SubjectEmail)
		}
		return nil
	}
	if _, err := optionalText(leaf, issuerEncoded); err != nil {
		return fmt.Errorf("the OIDC issuer in its certificate is malformed: %w", err)
	}
	if err := s.checkSubject(leaf); err != nil {
		return err
	}
	for _, claim := range s.wantedClaims() {
		if err := compareText(leaf, claim.number, claim.title, *claim.want); err != nil {
			return err
		}
	}
	return nil
}

// checkSubject compares the only name in the certificate. Fulcio writes exactly one, and a certificate with several
// would belong to several signers.
func (s *Signer) checkSubject(leaf *x509.Certificate) error {
	if s.SubjectEmail != "" {
		email, err := onlyName(leaf, tagEmail)
		if err == nil && email != s.SubjectEmail {
			err = fmt.Errorf("its certificate is for %q, not for the e-mail address %q", email, s.SubjectEmail)
		}
		return err
	}
	uri, err := onlyName(leaf, tagURI)
	if err != nil {
		return err
	}
	switch {
	case s.SubjectURI != "" && uri == s.SubjectURI:
		return nil
	case s.SubjectURI != "":
		return fmt.Errorf("its certificate is for the URI %q, not for %q", uri, s.SubjectURI)
	case s.BuildSignerURI != "":
		return compareText(leaf, buildSignerURI, "build signer", s.BuildSignerURI)
	case s.pattern != nil && s.pattern.MatchString(uri):
		return nil
	default:
		return fmt.Errorf("its certificate is for the URI %q, which does not match %s", uri, s.SubjectURIPattern)
	}
}

// Issuer returns the OIDC issuer in a certificate of Fulcio, as containers/image reads it: a raw string, a string in
// DER, or both if they are equal.
func Issuer(leaf *x509.Certificate) (string, error) {
	var found []string
	for _, extension := range leaf.Extensions {
		switch {
		case extension.Id.Equal(extensionOf(issuerRaw)):
			found = append(found, string(extension.Value))
		case extension.Id.Equal(extensionOf(issuerEncoded)):
			var issuer string
			if rest, err := asn1.Unmarshal(extension.Value, &issuer); err != nil || len(rest) > 0 {
				return "", errors.New("the OIDC issuer in its certificate is malformed")
			}
			found = append(found, issuer)
		}
	}
	switch {
	case len(found) == 0:
		return "", errors.New("its certificate has no OIDC issuer")
	case slices.ContainsFunc(found, func(issuer string) bool { return issuer != found[0] }):
		return "", fmt.Errorf("its certificate has several OIDC issuers: %q", found)
	default:
		return found[0], nil
	}
}

// compareText compares a claim, which is a string in DER.
func compareText(leaf *x509.Certificate, number int, title, want string) error {
	text, err := optionalText(leaf, number)
	switch {
	case err != nil:
		return fmt.Errorf("the %s in its certificate is malformed: %w", title, err)
	case text == "":
		return fmt.Errorf("its certificate has no %s (extension %s), and must have %q", title, extensionOf(number), want)
	case text != want:
		return fmt.Errorf("the %s in its certificate is %q, not %q", title, text, want)
	default:
		return nil
	}
}

// optionalText returns the value of an extension that contains a string in DER, or an empty string if the certificate
// lacks the extension.
func optionalText(leaf *x509.Certificate, number int) (string, error) {
	text := ""
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(extensionOf(number)) {
			continue
		}
		// x509 refuses certificates that have an extension twice, but not every caller may have parsed the certificate.
		if text != "" {
			return "", errors.New("it occurs twice")
		}
		var err error
		if text, err = parseText(extension.Value); err != nil {
			return "", err
		}
	}
	return text, nil
}

// parseText parses a UTF8String in DER. Unlike asn1.Unmarshal into a string, it accepts no other kind of string.
func parseText(der []byte) (string, error) {
	var value asn1.RawValue
	rest, err := asn1.Unmarshal(der, &value)
	switch {
	case err != nil:
		return "", fmt.Errorf("it is not DER: %w", err)
	case len(rest) > 0:
		return "", fmt.Errorf("it has %d more bytes", len(rest))
	case value.Class != asn1.ClassUniversal || value.Tag != asn1.TagUTF8String || value.IsCompound:
		return "", errors.New("it is not a UTF8String")
	case len(value.Bytes) == 0 || len(value.Bytes) > maxValue:
		return "", fmt.Errorf("it has %d bytes; it needs 1 to %d", len(value.Bytes), maxValue)
	case !utf8.Valid(value.Bytes):
		return "", errors.New("it is not UTF-8")
	default:
		return string(value.Bytes), nil
	}
}

// onlyName returns the only alternative name of a certificate, as it is written there: x509 returns URIs parsed, and a
// URI that is formatted again may differ.
func onlyName(leaf *x509.Certificate, tag int) (string, error) {
	var names []asn1.RawValue
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(subjectAltName()) {
			continue
		}
		var more []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &more); err != nil || len(rest) > 0 {
			return "", errors.New("the alternative names in its certificate are malformed")
		}
		names = append(names, more...)
	}
	if len(names) != 1 {
		return "", fmt.Errorf("its certificate has %d alternative names, and must have exactly one", len(names))
	}
	name := names[0]
	if name.Class != asn1.ClassContextSpecific || name.Tag != tag || tag != tagEmail && tag != tagURI || name.IsCompound {
		return "", fmt.Errorf("its certificate is for %s, not for %s", describeName(name), kindOfName(tag))
	}
	text := string(name.Bytes)
	if text == "" || len(text) > maxValue {
		return "", fmt.Errorf("the name in its certificate has %d bytes; it needs 1 to %d", len(text), maxValue)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("the name in its certificate has characters that %s does not have", kindOfName(tag))
	}
	return text, nil
}

// describeName describes a name of an unexpected kind.
func describeName(name asn1.RawValue) string {
	if name.Class == asn1.ClassContextSpecific && !name.IsCompound && (name.Tag == tagEmail || name.Tag == tagURI) {
		return fmt.Sprintf("%s %q", kindOfName(name.Tag), name.Bytes)
	}
	return "a name of another kind"
}

func kindOfName(tag int) string {
	if tag == tagEmail {
		return "an e-mail address"
	}
	return "a URI"
}

// WithoutUnhandledNames returns the certificate as one without unhandled extensions if Go cannot parse its alternative
// names: Fulcio writes names of a kind that Go does not support. [Signer.Check] then does not find the name.
func WithoutUnhandledNames(leaf *x509.Certificate) *x509.Certificate {
	if !slices.ContainsFunc(leaf.UnhandledCriticalExtensions, subjectAltName().Equal) {
		return leaf
	}
	// Other goroutines may read the certificate.
	handled := *leaf
	handled.UnhandledCriticalExtensions = slices.DeleteFunc(
		slices.Clone(leaf.UnhandledCriticalExtensions), subjectAltName().Equal)
	return &handled
}
