package keyless_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	trustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// maker signs in deployments.
var maker = signaturetest.Identity{Email: "release@example.com", Issuer: "https://issuer.example"}

// fetched is an image of a registry with its evidence.
type fetched struct {
	image    node.Pushed
	manifest policy.Manifest
	evidence policy.Evidence
}

// fetch fetches the evidence of an image.
func fetch(t *testing.T, registry *node.Registry, image node.Pushed) fetched {
	t.Helper()
	keeper := rig.Must(evidence.Open(evidence.Config{Directory: t.TempDir(), MaxSize: 1 << 20}))(t)
	t.Cleanup(func() { keeper.Close() })
	named := rig.Must(policy.Normalize(image.Reference))(t)
	rig.OK(t, keeper.Fetch(t.Context(), image.Digest, named))
	raw, _, err := registry.Manifest(t.Context(), strings.TrimPrefix(image.ByDigest(), registry.Host+"/"))
	rig.OK(t, err)
	manifest := policy.Manifest{
		Digest: image.Digest, MediaType: ocispec.MediaTypeImageManifest, Bytes: raw, Repositories: []string{named.Name()},
	}
	return fetched{image, manifest, keeper.Lookup([]policy.Manifest{manifest}, named)[0]}
}

// bundle returns the image's only bundle.
func (f fetched) bundle(t *testing.T) bundletest.Bundle {
	t.Helper()
	return keyless.ParseBundle(t, rig.Must(os.ReadFile(filepath.Join(f.evidence.Directory, "bundle-1.json")))(t))
}

// as returns the image with another bundle as its only evidence.
func (f fetched) as(t *testing.T, b bundletest.Bundle) fetched {
	t.Helper()
	f.manifest, f.evidence = signaturetest.Image(t, f.manifest.Bytes, nil, [][]byte{b.JSON(t)})
	f.manifest.Repositories = []string{f.image.Repository}
	return f
}

// judge judges the image by a requirement for maker, by a trusted root.
func (f fetched) judge(t *testing.T, root *trustroot.TrustedRoot, more map[string]any) policy.Finding {
	t.Helper()
	requirement := map[string]any{
		"type": "sigstoreSigned", "trustedRootData": rig.Must(protojson.Marshal(root))(t),
		"fulcio":         map[string]any{"oidcIssuer": maker.Issuer, "subjectEmail": maker.Email},
		"signedIdentity": map[string]any{"type": "matchRepository"},
	}
	maps.Copy(requirement, more)
	document := rig.Must(json.Marshal(map[string]any{"default": []any{requirement}}))(t)
	read := func(string) ([]byte, error) { return nil, errors.New("no files here") }
	parsed := rig.Must(signature.NewParser(signature.Kinds(nil)).Parse(document, read))(t)
	return bundle.NewJudge().Judge(t.Context(), policy.JudgeRequest{
		Requirement: parsed.Default[0], Reference: rig.Must(policy.Normalize(f.image.Reference))(t),
		Manifest: f.manifest, Evidence: f.evidence,
	})
}

// TestBundlesOfRealServers makes the real cosign sign with the real servers, and changes each part of the result, or of
// the trusted root.
func TestBundlesOfRealServers(t *testing.T) {
	tools := node.NewTools(t)
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	programs := keyless.BuildServers(t)
	ours := keyless.NewDeployment(t, tools)
	theirs := ours.With(t, keyless.StartLog(t, programs), keyless.StartStamper(t, programs))
	sign := func(by *keyless.Deployment, name string, seen keyless.Seen) fetched {
		image := rig.Must(registry.Push(t.Context(), "real/"+name+":v1", rig.Must(tools.Image(name))(t)))(t)
		by.Sign(t, image, maker, seen)
		return fetch(t, registry, image)
	}
	both := keyless.Seen{Log: true, Stamper: true}
	full, other := sign(ours, "full", both), sign(ours, "other", both)
	foreign, stamped := sign(theirs, "foreign", both), sign(ours, "stamped", keyless.Seen{Stamper: true})
	root, foreignRoot := ours.TrustedRoot(t), theirs.TrustedRoot(t)
	with := func(change func(bundletest.Bundle)) fetched {
		changed := full.bundle(t)
		change(changed)
		return full.as(t, changed)
	}
	rooted := func(change func(*trustroot.TrustedRoot)) *trustroot.TrustedRoot {
		changed := proto.CloneOf(root)
		change(changed)
		return changed
	}
	ended := func(in *trustroot.CertificateAuthority) {
		in.ValidFor.End = timestamppb.New(time.Now().Add(-time.Hour))
	}
	none := map[string]any{"tlog": "none"}
	theirEntry := foreign.bundle(t).VerificationMaterial.TlogEntries[0]
	for name, test := range map[string]struct {
		image  fetched
		root   *trustroot.TrustedRoot
		more   map[string]any
		detail string // Empty: it is accepted.
	}{
		"as cosign made it":                         {image: full},
		"a second entry of the log":                 {image: other},
		"by the trusted root of the other servers":  {image: foreign, root: foreignRoot},
		"a timestamp, where no log is required":     {image: stamped, more: none},
		"a timestamp and a log, where none is":      {image: full, more: none},
		"only a timestamp, where a log is required": {image: stamped, detail: "it is recorded by no transparency log"},
		"no timestamp": {
			image:  with(func(b bundletest.Bundle) { b.VerificationMaterial.TimestampVerificationData = nil }),
			detail: "its log entry has no signed time",
		},
		"no timestamp, where no log is required": {
			image: with(func(b bundletest.Bundle) { b.VerificationMaterial.TimestampVerificationData = nil }),
			more:  none, detail: "it has no timestamp",
		},
		"the timestamp of another authority": {
			image: full, detail: "its log entry has no signed time",
			root: rooted(func(r *trustroot.TrustedRoot) { r.TimestampAuthorities = foreignRoot.TimestampAuthorities }),
		},
		"the timestamp of another signature": {
			image: with(func(b bundletest.Bundle) {
				b.VerificationMaterial.TimestampVerificationData = other.bundle(t).VerificationMaterial.TimestampVerificationData
			}),
			detail: "its log entry has no signed time",
		},
		"the log is not in the trusted root": {
			image: full, detail: "by another log than the trusted root's",
			root: rooted(func(r *trustroot.TrustedRoot) { r.Tlogs = foreignRoot.Tlogs }),
		},
		"another log's checkpoint": {
			image: with(func(b bundletest.Bundle) {
				b.VerificationMaterial.TlogEntries[0].InclusionProof.Checkpoint = theirEntry.InclusionProof.Checkpoint
			}),
			detail: "verifying log entry",
		},
		"another log's entry under the name of ours": {
			image: with(func(b bundletest.Bundle) {
				b.VerificationMaterial.TlogEntries[0].InclusionProof = theirEntry.InclusionProof
				b.VerificationMaterial.TlogEntries[0].CanonicalizedBody = theirEntry.CanonicalizedBody
			}),
			detail: "verifying log entry",
		},
		"a bit of the inclusion proof": {
			image: other.as(t, changedProof(t, other.bundle(t))), detail: "verifying log entry",
		},
		"the entry of another artifact": {
			image: with(func(b bundletest.Bundle) {
				b.VerificationMaterial.TlogEntries = other.bundle(t).VerificationMaterial.TlogEntries
			}),
			detail: "verifying log entry",
		},
		"another image": {image: full.as(t, other.bundle(t)), detail: "it signs another image"},
		"a certificate authority whose period has ended": {
			image: full, detail: "no certificate authority of the trusted root is valid at",
			root: rooted(func(r *trustroot.TrustedRoot) { ended(r.CertificateAuthorities[0]) }),
		},
		"a timestamp authority whose period has ended": {
			image: full, detail: "its log entry has no signed time",
			root: rooted(func(r *trustroot.TrustedRoot) { ended(r.TimestampAuthorities[0]) }),
		},
		"a log whose period has ended": {
			image: full, detail: "is not valid at",
			root: rooted(func(r *trustroot.TrustedRoot) {
				r.Tlogs[0].PublicKey.ValidFor.End = timestamppb.New(time.Now().Add(-time.Hour))
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.root == nil {
				test.root = root
			}
			finding := test.image.judge(t, test.root, test.more)
			if finding.Met != (test.detail == "") || !strings.Contains(finding.Detail, test.detail) {
				t.Errorf("met: %t: %s; want %q", finding.Met, finding.Detail, test.detail)
			}
		})
	}
}

// changedProof returns a bundle with another hash in its inclusion proof. The log must have had an entry before it.
func changedProof(t *testing.T, b bundletest.Bundle) bundletest.Bundle {
	t.Helper()
	hashes := b.VerificationMaterial.TlogEntries[0].InclusionProof.Hashes
	if len(hashes) == 0 {
		t.Fatal("the inclusion proof has no hash")
	}
	hashes[0][0] ^= 1
	return b
}
