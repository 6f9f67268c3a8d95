package trustedroot

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	trustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// maxInstances limits each list of a trusted root. The public Sigstore's has two authorities and two logs.
const maxInstances = 64

// Root is a parsed trusted root. It does not change.
type Root struct {
	authorities []*authority
	logs        map[string]*root.TransparencyLog
	stampers    []*stamper
}

// Parse parses a trusted_root.json.
func Parse(raw []byte) (*Root, error) {
	message, err := root.NewTrustedRootProtobuf(raw)
	if err != nil {
		return nil, err
	}
	// Nothing uses them, and one with an unknown kind of key must not disable the rest.
	message.Ctlogs = nil
	if err := check(message); err != nil {
		return nil, err
	}
	parsed, err := root.NewTrustedRootFromProtobuf(message)
	if err != nil {
		return nil, err
	}
	made := &Root{logs: parsed.RekorLogs()}
	for _, one := range parsed.FulcioCertificateAuthorities() {
		known, ok := one.(*root.FulcioCertificateAuthority)
		if !ok {
			return nil, fmt.Errorf("a certificate authority is of the unknown type %T", one)
		}
		made.authorities = append(made.authorities, newAuthority(known))
	}
	for _, one := range parsed.TimestampingAuthorities() {
		known, ok := one.(*root.SigstoreTimestampingAuthority)
		if !ok {
			return nil, fmt.Errorf("a timestamp authority is of the unknown type %T", one)
		}
		made.stampers = append(made.stampers, newStamper(known))
	}
	return made, nil
}

// check returns an error for what sigstore-go accepts although it does not mean what is written.
func check(message *trustroot.TrustedRoot) error {
	for name, count := range map[string]int{
		"certificate authorities": len(message.GetCertificateAuthorities()),
		"logs":                    len(message.GetTlogs()),
		"timestamp authorities":   len(message.GetTimestampAuthorities()),
	} {
		if count > maxInstances {
			return fmt.Errorf("there are %d %s; the maximum is %d", count, name, maxInstances)
		}
	}
	known := make(map[string]bool, len(message.GetTlogs()))
	for _, log := range message.GetTlogs() {
		id := hex.EncodeToString(log.GetLogId().GetKeyId())
		// sigstore-go would use the last one, and ignore the period of the others.
		if known[id] {
			return fmt.Errorf("two logs have the ID %s", id)
		}
		known[id] = true
	}
	return nil
}

// Logs returns the transparency logs, by the hexadecimal ID in entries. The caller must not change the map.
func (r *Root) Logs() map[string]*root.TransparencyLog { return r.logs }

// HasAuthorities reports whether it has a certificate authority.
func (r *Root) HasAuthorities() bool { return len(r.authorities) > 0 }

// HasLogs reports whether it has a transparency log.
func (r *Root) HasLogs() bool { return len(r.logs) > 0 }

// HasTimestampAuthorities reports whether it has a timestamp authority.
func (r *Root) HasTimestampAuthorities() bool { return len(r.stampers) > 0 }

// CheckLog returns nil if there is a log with this hexadecimal ID that was valid at that time.
func (r *Root) CheckLog(id string, at time.Time) error {
	log, ok := r.logs[id]
	if !ok {
		return errors.New("the trusted root has no such log")
	}
	if !within(at, log.ValidityPeriodStart, log.ValidityPeriodEnd) {
		return fmt.Errorf("the trusted root's log %s is not valid at %s", log.BaseURL, at.UTC().Format(time.RFC3339))
	}
	return nil
}

// LogBounds returns the times at which logs become valid, and after which they are not.
func (r *Root) LogBounds() (times []time.Time) {
	for _, id := range slices.Sorted(maps.Keys(r.logs)) {
		log := r.logs[id]
		times = append(times, log.ValidityPeriodStart)
		if !log.ValidityPeriodEnd.IsZero() {
			// A log is still valid at its end.
			times = append(times, log.ValidityPeriodEnd.Add(time.Nanosecond))
		}
	}
	return times
}

// within reports whether a time is in a period. A zero bound is none.
func within(at, start, end time.Time) bool {
	return !at.Before(start) && (end.IsZero() || !at.After(end))
}
