package pull_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// lookaside are simple signing signatures at the location in registries.d: on a server, or in a directory.
func (w *workshop) lookaside(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.Distribution(), nil)
	signer := rig.Must(openpgp.NewEntity("operator", "", "operator@example.com", nil))(t)
	var keyring bytes.Buffer
	rig.OK(t, signer.Serialize(&keyring))
	key := filepath.Join(t.TempDir(), "operator.gpg")
	rig.OK(t, os.WriteFile(key, keyring.Bytes(), 0o600))
	signed := node.Policy{Default: node.Requirement{
		"type": "signedBy", "keyType": "GPGKeys", "keyPath": key,
		"signedIdentity": map[string]string{"type": "matchRepository"},
	}}
	l.Write(t, "", signed)
	l.Write(t, prod, signed)

	served, kept := t.TempDir(), t.TempDir()
	server := httptest.NewServer(http.FileServer(http.Dir(served)))
	t.Cleanup(server.Close)
	places := fmt.Sprintf("docker:\n  %[1]s/served:\n    lookaside: %[2]s/here\n"+
		"  %[1]s/kept:\n    lookaside: file://%[3]s\n", l.Registry.Host, server.URL, kept)
	rig.OK(t, os.MkdirAll(l.Path("registries.d"), 0o700))
	rig.OK(t, os.WriteFile(l.Path("registries.d", "lookaside.yaml"), []byte(places), 0o600))
	l.Start(t)
	for repository, directory := range map[string]string{"served": filepath.Join(served, "here"), "kept": kept} {
		image, unsigned := l.Push(t, repository+"/signed:v1"), l.Push(t, repository+"/unsigned:v1")
		l.signSimply(t, signer, directory, image, image.Repository)
		l.Pull(t, image)
		l.runsAtOnce(t, prod, image)
		l.refusesPull(t, unsigned, "unsigned")
		forged := l.Push(t, repository+"/forged:v1")
		l.signSimply(t, signer, directory, forged, image.Repository)
		l.refusesPull(t, forged, "rejected")
	}
}

// signSimply signs an image for a repository with simple signing, and stores the signature where a lookaside has it:
// containers/image docs/containers-signature.5.md and docs/signature-protocols.md.
func (l *lab) signSimply(t *testing.T, signer *openpgp.Entity, directory string, image node.Pushed, name string) {
	t.Helper()
	payload := rig.Must(json.Marshal(map[string]any{
		"critical": map[string]any{
			"type":     "atomic container signature",
			"image":    map[string]any{"docker-manifest-digest": image.Digest},
			"identity": map[string]any{"docker-reference": name + ":v1"},
		},
		"optional": map[string]any{},
	}))(t)
	var signature bytes.Buffer
	writer := rig.Must(openpgp.Sign(&signature, signer, nil, nil))(t)
	rig.Must(writer.Write(payload))(t)
	rig.OK(t, writer.Close())
	manifest := strings.Replace(image.Digest.String(), ":", "=", 1)
	path := filepath.Join(directory, l.repository(image)+"@"+manifest, "signature-1")
	rig.OK(t, os.MkdirAll(filepath.Dir(path), 0o755)) //nolint:gosec // It is served to anyone.
	rig.OK(t, os.WriteFile(path, signature.Bytes(), 0o600))
}
