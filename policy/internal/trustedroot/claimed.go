package trustedroot

import (
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// ClaimedTime returns the time in a response of a timestamp authority (RFC 3161, TSTInfo). It verifies nothing.
func ClaimedTime(response []byte) (time.Time, error) {
	token, err := parseToken(response)
	if err != nil {
		return time.Time{}, err
	}
	// Optional fields follow, which the parser ignores.
	var info struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint asn1.RawValue
		Serial  *big.Int
		Time    time.Time `asn1:"generalized"`
	}
	if _, err := asn1.Unmarshal(token.Content, &info); err != nil {
		return time.Time{}, fmt.Errorf("its token has no time: %w", err)
	}
	return info.Time, nil
}
