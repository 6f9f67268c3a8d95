package trustedroot

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign/countersign/policy/internal/fulcio"
)

// Limits of timestamps. Those of public authorities have less than 8 KiB and at most four certificates.
const (
	maxTimestamps   = 8
	maxTimestamp    = 32 << 10
	maxCertificates = 9
)

// stamper is a timestamp authority.
type stamper struct {
	*root.SigstoreTimestampingAuthority

	// trusted are its certificates.
	trusted []*x509.Certificate
}

func newStamper(from *root.SigstoreTimestampingAuthority) *stamper {
	all := append(slices.Clone(from.Intermediates), from.Root, from.Leaf)
	return &stamper{from, slices.DeleteFunc(all, func(c *x509.Certificate) bool { return c == nil })}
}

// Times returns the times at which timestamp authorities of the trusted root have seen a signature, by their responses
// (RFC 3161), and why other responses do not count.
func (r *Root) Times(signature []byte, responses [][]byte) (times []time.Time, problems []error) {
	if len(responses) > maxTimestamps {
		return nil, []error{fmt.Errorf("it has %d timestamps; the maximum is %d", len(responses), maxTimestamps)}
	}
	for i, response := range responses {
		at, err := r.time(signature, response)
		if err != nil {
			problems = append(problems, fmt.Errorf("timestamp %d: %w", i+1, err))
			continue
		}
		times = append(times, at)
	}
	return times, problems
}

// time returns the time in a response.
func (r *Root) time(signature, response []byte) (time.Time, error) {
	if len(r.stampers) == 0 {
		return time.Time{}, errors.New("the trusted root has no timestamp authority")
	}
	token, err := parseToken(response)
	if err != nil {
		return time.Time{}, err
	}
	failure := errors.New("it is by none of the trusted root's timestamp authorities")
	for _, stamper := range r.stampers {
		if !stamper.knows(token.Certificates) {
			continue
		}
		stamp, err := stamper.Verify(response, signature)
		if err == nil {
			return stamp.Time, nil
		}
		// Only the authority that signed it can say more than that its signature is another's.
		if !isAnothers(err) {
			failure = err
		}
	}
	return time.Time{}, failure
}

// isAnothers reports whether the library refused a timestamp because another key signed it.
func isAnothers(err error) bool {
	return slices.ContainsFunc([]string{"No certificate for signer", "verification failure", "verification error"},
		func(said string) bool { return strings.Contains(err.Error(), said) })
}

// knows reports whether all certificates in a token are the authority's or issued by it. The library verifies the token
// with the key of a certificate in it before it verifies the certificate, and a key of an attacker's choice may be of
// any size.
func (s *stamper) knows(certificates []*x509.Certificate) bool {
	others := slices.DeleteFunc(slices.Clone(certificates), func(c *x509.Certificate) bool {
		return slices.ContainsFunc(s.trusted, c.Equal)
	})
	return len(fulcio.Vouched(others, s.trusted)) == len(others)
}

// parseToken parses the signed message in a response. It verifies nothing.
func parseToken(response []byte) (*pkcs7.PKCS7, error) {
	if len(response) > maxTimestamp {
		return nil, fmt.Errorf("it has %d bytes; the maximum is %d", len(response), maxTimestamp)
	}
	var outer struct{ Status, Token asn1.RawValue }
	if rest, err := asn1.Unmarshal(response, &outer); err != nil || len(rest) > 0 {
		return nil, errors.New("it is not a response of a timestamp authority (RFC 3161)")
	}
	token, err := pkcs7.Parse(outer.Token.FullBytes)
	if err != nil {
		return nil, fmt.Errorf("its token is not a signed message: %w", err)
	}
	if len(token.Signers) != 1 || len(token.Certificates) > maxCertificates {
		return nil, fmt.Errorf("its token has %d signers and %d certificates; it needs one, and the maximum is %d",
			len(token.Signers), len(token.Certificates), maxCertificates)
	}
	return token, nil
}
