package trustedroottest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	neturl "net/url"
	"testing"
	"time"

	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	trustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// MediaType is the media type of the trusted roots that tools write.
const MediaType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"

// File is a trusted root that tests may change.
type File struct{ *trustroot.TrustedRoot }

// Period is a validity period. A zero bound is none.
type Period struct{ Start, End time.Time }

// Around returns the period from a day before now to a day after.
func Around() Period {
	return Period{time.Now().Add(-24 * time.Hour), time.Now().Add(24 * time.Hour)}
}

// NewFile returns a trusted root that trusts nobody.
func NewFile() File { return File{&trustroot.TrustedRoot{MediaType: MediaType}} }

// Authority adds a certificate authority. The last certificate is the root.
func (f File) Authority(period Period, certificates ...*x509.Certificate) File {
	f.CertificateAuthorities = append(f.CertificateAuthorities, authority(period, certificates))
	return f
}

// Stamper adds a timestamp authority.
func (f File) Stamper(period Period, certificates ...*x509.Certificate) File {
	f.TimestampAuthorities = append(f.TimestampAuthorities, authority(period, certificates))
	return f
}

func authority(period Period, certificates []*x509.Certificate) *trustroot.CertificateAuthority {
	made := &trustroot.CertificateAuthority{
		Uri: "https://authority.example", ValidFor: period.protobuf(), CertChain: new(common.X509CertificateChain),
	}
	for _, certificate := range certificates {
		made.CertChain.Certificates = append(
			made.CertChain.Certificates, &common.X509Certificate{RawBytes: certificate.Raw})
	}
	return made
}

// Log adds a transparency log, whose checkpoints have the URL's host as origin. Its ID is the one that Rekor v2 writes
// into entries (rekor-tiles, internal/server): a hash of the key, and unless it is an ECDSA key, of the origin too.
func (f File) Log(t testing.TB, period Period, url string, public crypto.PublicKey) File {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	details := common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256
	switch public := public.(type) {
	case ed25519.PublicKey:
		details = common.PublicKeyDetails_PKIX_ED25519
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P384() {
			details = common.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384
		}
	}
	parsed, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	_, id, err := note.KeyHash(parsed.Host, public)
	if err != nil {
		t.Fatal(err)
	}
	f.Tlogs = append(f.Tlogs, &trustroot.TransparencyLogInstance{
		BaseUrl: url, HashAlgorithm: common.HashAlgorithm_SHA2_256, LogId: &common.LogId{KeyId: id},
		PublicKey: &common.PublicKey{RawBytes: der, KeyDetails: details, ValidFor: period.protobuf()},
	})
	return f
}

// JSON returns the content of the file.
func (f File) JSON(t testing.TB) []byte {
	t.Helper()
	raw, err := protojson.Marshal(f.TrustedRoot)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (p Period) protobuf() *common.TimeRange {
	made := &common.TimeRange{Start: timestamppb.New(p.Start)}
	if !p.End.IsZero() {
		made.End = timestamppb.New(p.End)
	}
	return made
}
