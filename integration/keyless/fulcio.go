package keyless

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// Fulcio is a certificate authority on the loopback address: the real server, with a new intermediate certificate and
// its key in files. It has no certificate log: countersign does not require SCTs.
type Fulcio struct {
	URL string
	// Chain is the path of its certificates in PEM, from the one that signs to the root.
	Chain string
	// Workflows is the OIDC issuer in certificates for workflows.
	Workflows string

	issuer *issuer
}

// fulcioConfig is the server's configuration for the issuer: the part of its config/identity/config.yaml for GitHub
// Actions that policies compare, and people as Dex certifies them. The first argument is the issuer of people, the
// second one that of workflows, and the third one the audience.
const fulcioConfig = `
oidc-issuers:
  %[1]s: {issuer-url: %[1]s, client-id: %[3]s, type: email, issuer-claim: $.federated_claims.connector_id}
  %[2]s: {issuer-url: %[2]s, client-id: %[3]s, type: ci-provider, ci-provider: github-workflow}
ci-issuer-metadata:
  github-workflow:
    default-template-values: {url: "https://github.com"}
    extension-templates:
      build-signer-uri: "{{ .url }}/{{ .job_workflow_ref }}"
      runner-environment: "runner_environment"
      source-repository-uri: "{{ .url }}/{{ .repository }}"
      source-repository-ref: "ref"
      source-repository-owner-uri: "{{ .url }}/{{ .repository_owner }}"
      build-trigger: "event_name"
    subject-alternative-name-template: "{{ .url }}/{{ .job_workflow_ref }}"
`

// StartFulcio starts a certificate authority, which runs until the test ends.
func StartFulcio(t testing.TB, programs *node.Tools) *Fulcio {
	t.Helper()
	directory, issuer := t.TempDir(), startIssuer(t)
	made := &Fulcio{Chain: filepath.Join(directory, "chain.pem"), Workflows: issuer.workflows(), issuer: issuer}
	from, to := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	root := signaturetest.NewAuthority(t, "root", from, to, nil)
	intermediate := signaturetest.Issue(t, root, &x509.Certificate{
		Subject: pkix.Name{CommonName: "intermediate"}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	rig.OK(t, os.WriteFile(made.Chain, bytes.Join([][]byte{intermediate.PEM, root.PEM}, nil), 0o600))
	key, config := filepath.Join(directory, "key.pem"), filepath.Join(directory, "config.yaml")
	writePEM(t, key, "PRIVATE KEY", rig.Must(x509.MarshalPKCS8PrivateKey(intermediate.Key))(t))
	settings := fmt.Sprintf(fulcioConfig, issuer.people(), issuer.workflows(), audience)
	rig.OK(t, os.WriteFile(config, []byte(settings), 0o600))
	ports := freePorts(t, 3)
	made.URL = "http://" + net.JoinHostPort("127.0.0.1", ports[0])
	start(t, programs.Path("fulcio"), "serve", "--ca=fileca", "--fileca-cert="+made.Chain, "--fileca-key="+key,
		"--fileca-key-passwd=unused", "--fileca-watch=false", "--ct-log-url=", "--config-path="+config,
		"--host=127.0.0.1", "--grpc-host=127.0.0.1", "--port="+ports[0], "--grpc-port="+ports[1],
		"--metrics-port="+ports[2], "--legacy-unix-domain-socket="+filepath.Join(directory, "socket"))
	rig.Eventually(t, "Fulcio to serve", func() error {
		_, err := get(t.Context(), http.DefaultClient, made.URL+"/healthz")
		return err
	})
	return made
}
