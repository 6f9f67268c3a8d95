package signature

import (
	"errors"
	"fmt"
	"time"

	"github.com/countersign/countersign/policy/internal/trustedroot"
)

// ClaimedTime returns the time in a timestamp (RFC 3161) that a signature has, unverified.
func ClaimedTime(timestamp []byte) (time.Time, error) { return trustedroot.ClaimedTime(timestamp) }

// TimestampAuthorities are those of a trusted root. They verify timestamps for people who look at signatures; no
// decision uses them.
type TimestampAuthorities struct{ root *trustedroot.Root }

// ReadTimestampAuthorities reads the timestamp authorities in a trusted_root.json.
func ReadTimestampAuthorities(trustedRoot []byte) (*TimestampAuthorities, error) {
	parsed, err := trustedroot.Parse(trustedRoot)
	if err != nil {
		return nil, fmt.Errorf("reading a trusted root: %w", err)
	}
	return &TimestampAuthorities{parsed}, nil
}

// Verify returns the time at which an authority has seen a signature, by its timestamp.
func (a *TimestampAuthorities) Verify(signature, timestamp []byte) (time.Time, error) {
	times, problems := a.root.Times(signature, [][]byte{timestamp})
	if len(times) == 0 {
		return time.Time{}, errors.Join(problems...)
	}
	return times[0], nil
}
