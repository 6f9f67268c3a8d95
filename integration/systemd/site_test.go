package systemd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

const (
	// workplace is the directory in which an operator runs commands.
	workplace = "/root/work"
	// repository is the repository of the pages' examples; its image app:v1 is signed.
	repository = "registry.example/prod/app"
	app        = repository + ":v1"
	// nobodys is an image that nobody signs.
	nobodys = "registry.example/prod/unsigned:v1"
	// public is an image of a public registry in the pages.
	public = "ghcr.io/org/app:v1"
)

// site is a machine with what the pages assume: registries that have names and TLS, a release of countersign, and a
// directory with what is in the repository.
type site struct {
	*lab
	// digest is the digest of the image app.
	digest string
}

// cosign names services for signing that do not exist, because nothing reaches the public Sigstore from a machine.
const cosign = `#!/bin/sh
case "$*" in
*--signing-config*) ;;
sign\ * | attest\ * | sign-blob\ *) exec /opt/tools/cosign "$@" --signing-config /root/no-services.json ;;
esac
exec /opt/tools/cosign "$@"
`

const tlsRegistryConfig = `version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: "127.0.0.1:443", tls: {certificate: /etc/registry.pem, key: /etc/registry.key}}
`

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{lab: newLab(t, node.Containerd24)}
	s.write(t, "/etc/hosts", "127.0.0.1 localhost registry.example ghcr.io\n")
	s.write(t, "/etc/registry.yml", tlsRegistryConfig)
	s.write(t, workplace+"/provenance.json", `{"buildDefinition": {}, "runDetails": {}}`)
	s.copyRelease(t)
	s.shell(t, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=registry.example "+
		"-addext subjectAltName=DNS:registry.example,DNS:ghcr.io -keyout /etc/registry.key -out /etc/registry.pem")
	s.shell(t, "mkdir -p /etc/ssl/certs && cat /etc/registry.pem >>/etc/ssl/certs/ca-certificates.crt")
	s.shell(t, "/opt/tools/cosign signing-config create --out /root/no-services.json && systemctl restart registry")
	for _, reference := range []string{app, nobodys, public} {
		s.publish(t, reference)
	}
	s.digest = strings.TrimSpace(s.shell(t, "/opt/tools/crane digest "+app))
	return s
}

// copyRelease puts the programs where a package has them, and a checkout with built programs into the workplace.
func (s *site) copyRelease(t *testing.T) {
	t.Helper()
	for _, program := range []string{"countersign", "countersign-verifier"} {
		for _, directory := range []string{"/usr/bin/", workplace + "/bin/"} {
			s.copy(t, s.Path("/root/1/"+program), directory+program)
		}
	}
	rig.OK(t, s.Write("/usr/local/bin/cosign", cosign, 0o755))
	conf := filepath.Join(rig.Must(node.Repository())(t), "conf")
	for _, name := range []string{
		"config.toml", "containerd.toml", "countersign.service", "countersign-cri.socket", "policies/prod.json",
		"policies/system.json",
	} {
		s.write(t, workplace+"/conf/"+name, string(rig.Must(os.ReadFile(filepath.Join(conf, name)))(t)))
	}
}

// publish pushes an image.
func (s *site) publish(t *testing.T, reference string) {
	t.Helper()
	s.save(t, reference, "/root/image.tar")
	rig.Eventually(t, "the push of "+reference, func() error {
		_, err := s.Run(t.Context(), "/opt/tools/crane", "push", "/root/image.tar", reference)
		return err
	})
}
