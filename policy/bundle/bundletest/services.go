package bundletest

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/internal/trustedroot/trustedroottest"
)

// Services are what a Sigstore has that uses Rekor v2: an authority, a log without signed times, and a timestamp
// authority. There is a log of Rekor v1, too.
type Services struct {
	*Sigstore

	Second  *Tiles
	Stamper *trustedroottest.Stamper
}

// NewServices creates services with new keys.
func NewServices(t testing.TB) *Services {
	t.Helper()
	return &Services{NewSigstore(t), NewTiles(t), trustedroottest.NewStamper(t, trustedroottest.Around())}
}

// File returns their trusted root.
func (s *Services) File(t testing.TB) trustedroottest.File {
	t.Helper()
	return s.TrustedRoot(t).
		Log(t, trustedroottest.Around(), s.Second.URL(), s.Second.Public()).
		Stamper(trustedroottest.Around(), s.Stamper.Leaf, s.Stamper.Root)
}

// Seen says who has seen a signature.
type Seen struct{ Log, Stamper bool }

// SignSeen signs with this identity. Rekor v2 and the timestamp authority see the signature as selected.
func (s *Services) SignSeen(t testing.TB, identity Identity, manifest digest.Digest, name string, seen Seen) Bundle {
	t.Helper()
	key, certificate := s.Certify(t, identity)
	bundle := Sign(t, key, manifest, name).Certified(certificate)
	if seen.Log {
		s.Second.Record(t, bundle, nil)
	}
	if seen.Stamper {
		bundle.Stamp(s.Stamper.Stamp(t, bundle.GetDsseEnvelope().Signatures[0].Sig, time.Now()))
	}
	return bundle
}
