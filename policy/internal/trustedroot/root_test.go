package trustedroot_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"github.com/countersign/countersign/policy/internal/trustedroot"
	"github.com/countersign/countersign/policy/internal/trustedroot/trustedroottest"
)

// moduleFile returns a file of a module on which we depend.
func moduleFile(t testing.TB, module, name string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func idOf(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func parse(t *testing.T, raw []byte) *trustedroot.Root {
	t.Helper()
	parsed, err := trustedroot.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// TestThePublicTrustedRootIsRead reads the file of the public Sigstore, and that of its current version, which has two
// logs and a timestamp authority.
func TestThePublicTrustedRootIsRead(t *testing.T) {
	const rekor = "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d"
	for name, raw := range map[string][]byte{
		"sigstore-go": moduleFile(t, "github.com/sigstore/sigstore-go", "examples/trusted-root-public-good.json"),
		"sigstore":    moduleFile(t, "github.com/sigstore/sigstore", "pkg/tuf/repository/targets/trusted_root.json"),
	} {
		public := parse(t, raw)
		if !public.HasAuthorities() || !public.HasLogs() {
			t.Errorf("%s: it has no authority or no log", name)
		}
		if err := public.CheckLog(rekor, time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := public.CheckLog(rekor, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
			t.Errorf("%s: the log was valid before it existed", name)
		}
	}
}

func TestTrustedRootsThatDoNotLoad(t *testing.T) {
	key := newKey(t)
	stamper := trustedroottest.NewStamper(t, trustedroottest.Around())
	good := func() trustedroottest.File {
		return trustedroottest.NewFile().Log(t, trustedroottest.Around(), "https://log.example", key.Public()).
			Authority(trustedroottest.Around(), stamper.Root).
			Stamper(trustedroottest.Around(), stamper.Leaf, stamper.Root)
	}
	if _, err := trustedroot.Parse(good().JSON(t)); err != nil {
		t.Fatal(err)
	}
	with := func(change func(trustedroottest.File)) []byte {
		file := good()
		change(file)
		return file.JSON(t)
	}
	replace := func(old, by string) []byte {
		raw := good().JSON(t)
		if !bytes.Contains(raw, []byte(old)) {
			t.Fatalf("there is no %q in %s", old, raw)
		}
		return bytes.Replace(raw, []byte(old), []byte(by), 1)
	}
	for name, test := range map[string]struct {
		raw  []byte
		want string
	}{
		"empty":               {nil, "unmarshal"},
		"no JSON":             {[]byte("x"), "unmarshal"},
		"a list":              {[]byte("[]"), "unmarshal"},
		"nothing":             {[]byte("{}"), "unsupported TrustedRoot media type"},
		"another media type":  {replace("version=0.1", "version=9.9"), "unsupported TrustedRoot media type"},
		"an unknown key":      {replace(`"mediaType"`, `"extra":1,"mediaType"`), "unknown field"},
		"a key twice":         {replace(`"mediaType"`, `"mediaType":"x","mediaType"`), "duplicate field"},
		"a log without an ID": {with(func(f trustedroottest.File) { f.Tlogs[0].LogId = nil }), "missing log ID"},
		"a log without a key": {with(func(f trustedroottest.File) { f.Tlogs[0].PublicKey = nil }), "missing public key"},
		"a log without a period": {
			with(func(f trustedroottest.File) { f.Tlogs[0].PublicKey.ValidFor = nil }), "missing public key validity period",
		},
		"a log's period without a start": {
			with(func(f trustedroottest.File) { f.Tlogs[0].PublicKey.ValidFor.Start = nil }), "validity period start",
		},
		"a log with another tree hash": {
			with(func(f trustedroottest.File) { f.Tlogs[0].HashAlgorithm = common.HashAlgorithm_SHA2_512 }), "hash algorithm",
		},
		"a log with an unknown kind of key": {
			with(func(f trustedroottest.File) { f.Tlogs[0].PublicKey.KeyDetails = common.PublicKeyDetails_ML_DSA_65 }),
			"unsupported tlog public key type",
		},
		"a log with a key that is none": {
			with(func(f trustedroottest.File) { f.Tlogs[0].PublicKey.RawBytes = []byte("x") }), "failed to parse public key",
		},
		"a log twice, with another period": {
			with(func(f trustedroottest.File) {
				f.Log(t, trustedroottest.Period{Start: time.Unix(1, 0)}, "https://log.example", key.Public())
			}), "two logs have the ID",
		},
		"sixty-five authorities": {
			with(func(f trustedroottest.File) {
				for range 64 {
					f.Authority(trustedroottest.Around(), stamper.Root)
				}
			}), "65 certificate authorities",
		},
		"an authority without certificates": {
			with(func(f trustedroottest.File) { f.CertificateAuthorities[0].CertChain.Certificates = nil }), "chain is empty",
		},
		"an authority without a chain": {
			with(func(f trustedroottest.File) { f.CertificateAuthorities[0].CertChain = nil }), "missing cert chain",
		},
		"an authority with a certificate that is none": {
			with(func(f trustedroottest.File) {
				f.CertificateAuthorities[0].CertChain.Certificates[0].RawBytes = []byte("x")
			}), "failed to parse certificate",
		},
		"a timestamp authority with a certificate that is none": {
			with(func(f trustedroottest.File) {
				f.TimestampAuthorities[0].CertChain.Certificates[0].RawBytes = []byte("x")
			}), "failed to parse certificate",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := trustedroot.Parse(test.raw); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
}

// TestAnUnknownKeyOfACertificateLogIsIgnored: nothing uses these logs.
func TestAnUnknownKeyOfACertificateLogIsIgnored(t *testing.T) {
	file := trustedroottest.NewFile().Log(t, trustedroottest.Around(), "https://log.example", newKey(t).Public())
	file.Ctlogs = slices.Clone(file.Tlogs)
	parse(t, file.JSON(t))
	file.Tlogs, file.Ctlogs[0].PublicKey.KeyDetails = nil, common.PublicKeyDetails_ML_DSA_65
	if parse(t, file.JSON(t)).HasLogs() {
		t.Error("a certificate log counts as a transparency log")
	}
}

func TestALogIsValidInItsPeriod(t *testing.T) {
	key, start, end := newKey(t), time.Unix(1000, 0), time.Unix(2000, 0)
	bounded := parse(t, trustedroottest.NewFile().
		Log(t, trustedroottest.Period{Start: start, End: end}, "https://log.example", key.Public()).JSON(t))
	open := parse(t, trustedroottest.NewFile().
		Log(t, trustedroottest.Period{Start: start}, "https://log.example", key.Public()).JSON(t))
	for name, test := range map[string]struct {
		root *trustedroot.Root
		id   string
		at   time.Time
		want bool
	}{
		"at its start":                {bounded, idOf(t, key), start, true},
		"before its start":            {bounded, idOf(t, key), start.Add(-time.Nanosecond), false},
		"at its end":                  {bounded, idOf(t, key), end, true},
		"after its end":               {bounded, idOf(t, key), end.Add(time.Nanosecond), false},
		"without an end":              {open, idOf(t, key), time.Now().Add(1e6 * time.Hour), true},
		"without an end, too early":   {open, idOf(t, key), time.Unix(0, 0), false},
		"another log":                 {bounded, "00", start, false},
		"a log without an ID":         {bounded, "", start, false},
		"a log of a zero period, now": {bounded, idOf(t, key), time.Time{}, false},
	} {
		if err := test.root.CheckLog(test.id, test.at); (err == nil) != test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if bounds := bounded.LogBounds(); !slices.Equal(bounds, []time.Time{start.UTC(), end.Add(1).UTC()}) {
		t.Errorf("bounds %v", bounds)
	}
}

// FuzzParse: whatever a file contains, it parses or does not, and its parts can be asked.
func FuzzParse(f *testing.F) {
	f.Add(moduleFile(f, "github.com/sigstore/sigstore-go", "examples/trusted-root-public-good.json"))
	stamper := trustedroottest.NewStamper(f, trustedroottest.Around())
	f.Add(trustedroottest.NewFile().Log(f, trustedroottest.Around(), "https://log.example", newKey(f).Public()).
		Authority(trustedroottest.Around(), stamper.Root).
		Stamper(trustedroottest.Around(), stamper.Leaf, stamper.Root).JSON(f))
	response := stamper.Stamp(f, []byte("signature"), time.Now())
	f.Fuzz(func(_ *testing.T, raw []byte) {
		parsed, err := trustedroot.Parse(raw)
		if err != nil {
			return
		}
		_ = parsed.VerifyChain(stamper.Leaf, nil, time.Now())
		_, _ = parsed.Times([]byte("signature"), [][]byte{response})
		_ = parsed.LogBounds()
		for id := range parsed.Logs() {
			_ = parsed.CheckLog(id, time.Now())
		}
	})
}
