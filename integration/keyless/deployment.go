package keyless

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	trustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// since is when the services of a deployment become valid, as an RFC 3339 time.
const since = "2024-01-01T00:00:00Z"

// Deployment is a Sigstore that uses Rekor v2: the real servers of a certificate authority, of a log and of a timestamp
// authority.
type Deployment struct {
	Fulcio  *Fulcio
	Log     *Log
	Stamper *Stamper

	tools *node.Tools
	root  string // The path of the trusted root.
}

// NewDeployment starts the servers, which run until the test ends.
func NewDeployment(t testing.TB, tools *node.Tools) *Deployment {
	t.Helper()
	programs := BuildServers(t)
	made := &Deployment{Fulcio: StartFulcio(t, programs), tools: tools}
	return made.With(t, StartLog(t, programs), StartStamper(t, programs))
}

// With returns a deployment with the same certificate authority, and with another log and timestamp authority.
func (d *Deployment) With(t testing.TB, log *Log, stamper *Stamper) *Deployment {
	t.Helper()
	with := *d
	with.Log, with.Stamper = log, stamper
	with.root = with.writeTrustedRoot(t)
	return &with
}

// TrustedRoot returns the deployment's trusted root, as cosign trusted-root create writes it.
func (d *Deployment) TrustedRoot(t testing.TB) *trustroot.TrustedRoot {
	t.Helper()
	parsed := new(trustroot.TrustedRoot)
	rig.OK(t, protojson.Unmarshal(rig.Must(os.ReadFile(d.root))(t), parsed))
	return parsed
}

func (d *Deployment) writeTrustedRoot(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trusted_root.json")
	rig.Must(d.tools.Cosign(t.Context(), nil, "trusted-root", "create",
		"--fulcio", "url="+d.Fulcio.URL+",certificate-chain="+d.Fulcio.Chain,
		"--rekor", fmt.Sprintf("url=https://%s,public-key=%s,start-time=%s,origin=%[1]s", origin, d.Log.Public, since),
		"--tsa", fmt.Sprintf("url=%s,certificate-chain=%s", d.Stamper.URL, d.Stamper.Chain),
		"--out", path))(t)
	return path
}

// Seen says which servers see a signature.
type Seen struct{ Log, Stamper bool }

// signer returns the arguments with which cosign signs as the holder of a token of the issuer, by a new key.
func (d *Deployment) signer(t testing.TB, token string, seen Seen) []string {
	t.Helper()
	directory := t.TempDir()
	config, identity := filepath.Join(directory, "signing_config.json"), filepath.Join(directory, "token")
	rig.OK(t, os.WriteFile(identity, []byte(token), 0o600))
	service := ",operator=us,start-time=" + since
	create := []string{
		"signing-config", "create", "--out", config, "--fulcio", "url=" + d.Fulcio.URL + ",api-version=1" + service,
	}
	if seen.Log {
		create = append(create, "--rekor", "url="+d.Log.URL+",api-version=2"+service, "--rekor-config", "ANY")
	}
	if seen.Stamper {
		create = append(create, "--tsa", "url="+d.Stamper.URL+",api-version=1"+service, "--tsa-config", "ANY")
	}
	rig.Must(d.tools.Cosign(t.Context(), nil, create...))(t)
	return []string{
		"--identity-token", identity, "--signing-config", config, "--trusted-root", d.root,
		"--allow-insecure-registry", "--allow-http-registry", "-y",
	}
}

// Sign signs an image with cosign, for its repository, and attaches the bundle.
func (d *Deployment) Sign(t testing.TB, image node.Pushed, identity signaturetest.Identity, seen Seen) {
	t.Helper()
	d.sign(t, image, d.signer(t, d.Fulcio.issuer.person(t, identity), seen))
}

// SignAs signs an image as a workflow, whose issuer is that of the deployment.
func (d *Deployment) SignAs(t testing.TB, image node.Pushed, workflow signaturetest.Workflow) {
	t.Helper()
	d.sign(t, image, d.signer(t, d.Fulcio.issuer.workflow(t, workflow), Seen{Log: true, Stamper: true}))
}

func (d *Deployment) sign(t testing.TB, image node.Pushed, signer []string) {
	t.Helper()
	arguments := append([]string{"sign", "-a", "docker-reference=" + image.Repository}, signer...)
	rig.Must(d.tools.Cosign(t.Context(), nil, append(arguments, image.ByDigest())...))(t)
}

// Attest attests a predicate of SLSA's provenance for an image with cosign, and attaches the attestation.
func (d *Deployment) Attest(t testing.TB, image node.Pushed, identity signaturetest.Identity, predicate any) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "predicate.json")
	rig.OK(t, os.WriteFile(path, rig.Must(json.Marshal(predicate))(t), 0o600))
	arguments := append([]string{"attest", "--type", "slsaprovenance1", "--predicate", path},
		d.signer(t, d.Fulcio.issuer.person(t, identity), Seen{Log: true, Stamper: true})...)
	rig.Must(d.tools.Cosign(t.Context(), nil, append(arguments, image.ByDigest())...))(t)
}

// ParseBundle parses a bundle, so that tests can change it.
func ParseBundle(t testing.TB, raw []byte) bundletest.Bundle {
	t.Helper()
	parsed := new(protobundle.Bundle)
	rig.OK(t, protojson.Unmarshal(raw, parsed))
	return bundletest.Bundle{Bundle: parsed}
}
