package doctor_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/doctor"
	"github.com/countersign/countersign/plugin/internal/cri"
)

func pullFaults() map[string]fault {
	found := map[string]fault{
		"image verifiers are disabled": {
			files: file("conf.d/50-other.toml", "version = 3\ndisabled_plugins = [\""+bindir+"\"]\n"),
			check: "pull_plugins", cause: bindir, others: alone(),
		},
		"the verifier is missing": {
			files: func(h *host) { h.remove("verifiers/countersign-verifier") },
			check: "verifier", cause: "does not contain countersign-verifier", others: alone(),
		},
		"the directory of verifiers is missing": {
			files: func(h *host) { h.remove("verifiers") }, check: "verifier", cause: "no such file", others: alone(),
		},
		"there are too many verifiers": {
			files: func(h *host) {
				for i := range 10 {
					h.program(fmt.Sprintf("verifiers/another-%d", i))
				}
			},
			check: "verifier_limit", cause: "not among the first 10", others: alone(),
		},
		"a verifier is not executable": {
			files: func(h *host) { h.write("verifiers/readme", "text") },
			check: "verifier_executable", cause: "readme", others: alone(),
		},
		"containerd ends the verifier too early": {
			files: set(bindir, "per_verifier_timeout = '5s'"), check: "verifier_timeout", cause: "5s", others: alone(),
		},
		"config_path differs": {
			files: func(h *host) {
				h.write("other.d/empty", "")
				h.set(images+"\".\"registry", "config_path = \""+h.path("other.d")+"\"")
			},
			check: "config_path", cause: "other.d", others: alone(),
		},
		"a hosts.toml does not parse": {
			files: file("certs.d/registry.example/hosts.toml", "server ="), check: "hosts", cause: "hosts.toml:1",
			others: alone(),
		},
		"registries.d does not parse": {
			files: file("registries.d/x.yaml", "docker: [\n"), check: "lookasides", cause: "x.yaml", others: alone(),
		},
	}
	for name, setting := range map[string]string{
		"the CRI plugin pulls locally":      "use_local_image_pull = true",
		"layers are discarded":              "discard_unpacked_layers = true",
		"snapshots are annotated":           "disable_snapshot_annotations = false",
		"pulls are synchronised":            "image_pull_with_sync_fs = true",
		"more layers are downloaded":        "max_concurrent_downloads = 5",
		"mirrors are set in the old way":    "[plugins.\"" + images + "\".registry.mirrors.\"x.example\"]",
		"registries are set in the old way": "[plugins.\"" + images + "\".registry.configs.\"x.example\"]",
		"credentials are in containerd":     "[plugins.\"" + images + "\".registry.auths.\"x.example\"]",
	} {
		found[name] = fault{
			files: set(images, setting), check: "transfer_service", cause: "without the transfer service", others: alone(),
		}
	}
	return found
}

// trusting returns a document that requires a certificate of a CA in a file.
func trusting(name string) string {
	return `{"default": [{"type": "sigstoreSigned", "signedIdentity": {"type": "matchRepository"},
		"pki": {"caRootsPath": "DIR/` + name + `", "subjectEmail": "x@example.com"}}]}`
}

// authority writes the certificates of CAs, each of which is valid until a time from now.
func (h *host) authority(name string, until ...time.Duration) {
	h.t.Helper()
	var text bytes.Buffer
	for i, until := range until {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			h.t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "a CA"}, IsCA: true,
			NotBefore: time.Now().Add(until - 24*time.Hour), NotAfter: time.Now().Add(until),
			BasicConstraintsValid: true,
		}
		raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			h.t.Fatal(err)
		}
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: raw}); err != nil {
			h.t.Fatal(err)
		}
	}
	h.write(name, text.String())
}

// requiring writes a system policy whose requirement has certificates that are valid until these times.
func requiring(until ...time.Duration) func(*host) {
	return func(h *host) {
		h.authority("ca.pem", until...)
		h.write("policy.json", trusting("ca.pem"))
	}
}

func policyFaults() map[string]fault {
	keyed := `{"default": [{"type": "sigstoreSigned", "keyPath": "DIR/key.pub"}]}`
	return map[string]fault{
		"a document does not parse": {
			files: file("policies/prod.json", "{"), check: "policies", cause: "prod.json", others: alone(),
		},
		"the system policy is missing": {
			files: func(h *host) { h.remove("policy.json") }, check: "policies", cause: "policy.json", others: alone(),
		},
		"the policy directory is missing": {
			files: func(h *host) { h.remove("policies") }, check: "policies", cause: "reading policy directory", others: alone(),
		},
		"a file is not called like a document": {
			files: file("policies/prod.yaml", "x"), check: "policy_names", cause: "prod.yaml", others: alone(),
		},
		"a key file is missing": {
			files: file("policy.json", keyed), check: "keys", cause: "no such file", others: alone(),
		},
		"a key file has no key": {
			files: func(h *host) { h.write("policy.json", keyed); h.write("key.pub", "no key") },
			check: "keys", cause: "parsing public key", others: alone(),
		},
		"a certificate has expired": {
			files: requiring(-time.Hour), check: "certificates", cause: `"CN=a CA" expired on`, others: alone(),
		},
		"a certificate is not valid yet": {
			files: requiring(48 * time.Hour), check: "certificates", cause: "not valid before",
			others: []string{"certificates_soon"},
		},
		"a certificate expires soon": {
			files: requiring(20 * time.Hour), check: "certificates_soon", cause: "expires on", others: alone(),
		},
		"a scope can never match": {
			files: file("policy.json", `{"default": [{"type": "reject"}], "transports": {"docker":
				{"https://registry.example/a": [{"type": "reject"}]}}}`),
			check: "scopes", cause: `write "registry.example/a"`, others: alone(),
		},
	}
}

// TestOneValidCertificateIsEnough: a certificate authority is replaced by adding its next certificate to the file.
func TestOneValidCertificateIsEnough(t *testing.T) {
	h := newHost(t)
	h.authority("old.pem", -time.Hour)
	old, err := os.ReadFile(h.path("old.pem"))
	if err != nil {
		t.Fatal(err)
	}
	h.authority("ca.pem", 12*time.Hour)
	h.add("ca.pem", string(old))
	h.write("policy.json", trusting("ca.pem"))
	if found := examine(h.read())["certificates"]; found.Status != doctor.Yes {
		t.Errorf("certificates is %+v", found)
	}
}

func hostFaults() map[string]fault {
	kubelet := func(written bool) []cri.Container {
		return []cri.Container{{ID: "abc", Namespace: "prod", Pod: "web", Kubelet: true, Written: written}}
	}
	return map[string]fault{
		"the disk is read-only": {
			processes: func(n *doctor.Node) { n.Disk.Value.ReadOnly = true },
			check:     "evidence_writable", cause: "read-only", others: alone(),
		},
		"the daemon cannot write evidence": {
			processes: denies("evidence", "permission denied"),
			check:     "evidence_writable", cause: "permission denied", others: alone(),
		},
		"the evidence directory is a file": {
			files: func(h *host) { h.remove("evidence"); h.write("evidence", "") },
			check: "evidence_writable", cause: "is not a directory", others: alone(),
		},
		"the disk is full": {
			processes: func(n *doctor.Node) { n.Disk.Value.Free = 4096 },
			check:     "evidence_space", cause: "4 KiB left", others: alone(),
		},
		"the store is full": {
			processes: func(n *doctor.Node) { n.Daemon.Value.Evidence.Bytes = 1 << 30 },
			check:     "evidence_space", cause: "1024 of 1024 MiB", others: alone(),
		},
		"the clock is in the past": {
			processes: func(n *doctor.Node) { n.Clock.Now = time.Unix(0, 0) },
			check:     "clock", cause: "it is 1970-01-01T00:00:00Z, and", others: alone(),
		},
		"no time service runs": {
			processes: func(n *doctor.Node) { n.Clock.Synchronised.Value = false },
			check:     "clock", cause: "no time service", unknown: true, others: alone(),
		},
		"a kubelet without references runs": {
			processes: func(n *doctor.Node) { n.Containers.Value = kubelet(false) },
			check:     "kubelet", cause: "container abc in pod prod/web", others: alone(),
		},
		"an old kubelet is installed": {
			processes: func(n *doctor.Node) { n.Kubelet.Value = "Kubernetes v1.27.3" },
			check:     "kubelet", cause: "v1.27.3", others: alone(),
		},
		"the version of the kubelet is unknown": {
			processes: func(n *doctor.Node) { n.Kubelet.Err = errors.New("exit status 1") },
			check:     "kubelet", cause: "exit status 1", unknown: true, others: alone(),
		},
	}
}

func canaryFaults() map[string]fault {
	of := func(change func(*doctor.Canaries)) func(*doctor.Node) {
		return func(n *doctor.Node) { change(n.Canaries) }
	}
	return map[string]fault{
		"a container that the policy refuses runs": {
			processes: of(func(c *doctor.Canaries) { c.Refused = nil }),
			check:     "canary_refused", cause: "created a container", others: alone(),
		},
		"a container that the policy admits is refused": {
			processes: of(func(c *doctor.Canaries) { c.Admitted = refusal("internal") }),
			check:     "canary_admitted", cause: "(internal)", others: alone(),
		},
		"a canary cannot be removed": {
			processes: of(func(c *doctor.Canaries) { c.Removed, c.Left = false, errors.New("busy") }),
			check:     "canary_removed", cause: "busy", others: alone(),
		},
	}
}

// TestTheNewestContainerCounts: containers that the kubelet created before an upgrade keep running.
func TestTheNewestContainerCounts(t *testing.T) {
	node := newHost(t).read()
	node.Containers.Value = []cri.Container{
		{Kubelet: true, Created: time.Unix(1, 0)},
		{Kubelet: true, Written: true, Created: time.Unix(3, 0)},
		{Kubelet: true, Created: time.Unix(2, 0)},
		{Created: time.Unix(4, 0)},
	}
	if found := examine(node)["kubelet"]; found.Status != doctor.Yes {
		t.Errorf("kubelet is %+v", found)
	}
}
