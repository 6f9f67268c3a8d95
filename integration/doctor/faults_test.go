package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

const (
	nriSection       = "version = 3\n[plugins.'io.containerd.nri.v1.nri']\n"
	validatorSection = "version = 3\n[plugins.'io.containerd.nri.v1.nri'.default_validator]\n"
	imagesSection    = "version = 3\n[plugins.'io.containerd.cri.v1.images']\n"
	verifierSection  = "version = 3\n[plugins.'io.containerd.image-verifier.v1.bindir']\n"
	runtimeSection   = "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\n"
)

func (l *lab) removeDropIn(t *testing.T, name string) {
	t.Helper()
	rig.OK(t, os.Remove(l.Path("conf.d", name)))
	rig.OK(t, l.RestartContainerd(t.Context()))
}

// named fails the test unless a check is not answered with yes, with a cause and a remedy.
func named(t *testing.T, found answers, check, cause string) {
	t.Helper()
	status, got, remedy := found.of(check)
	if status == "yes" || status == "" || !strings.Contains(got, cause) || remedy == "" || strings.Contains(remedy, "\n") {
		t.Errorf("%s is %q (%s), to do: %q; want a cause with %q and a remedy", check, status, got, remedy, cause)
	}
	if found.status == 0 {
		t.Error("the exit status is 0")
	}
}

// containerdFaults changes the configuration of the running containerd.
func (l *lab) containerdFaults(t *testing.T) {
	type fault struct{ dropIn, check, cause string }
	faults := map[string]fault{
		"NRI is disabled":            {nriSection + "disable = true\n", "nri_enabled", "disable NRI"},
		"NRI accepts no connections": {nriSection + "disable_connections = true\n", "nri_enabled", "disable_connections"},
		"NRI's socket is elsewhere":  {nriSection + "socket_path = 'DIR/other.sock'\n", "nri_socket", "other.sock"},
		"NRI does not wait for decisions": {
			nriSection + "plugin_request_timeout = '300ms'\n", "nri_timeouts", "300ms",
		},
		"NRI does not wait for registrations": {
			nriSection + "plugin_registration_timeout = '900ms'\n", "nri_timeouts", "900ms",
		},
		"the validator is off":           {validatorSection + "enable = false\n", "validator", "do not enable"},
		"the plugin is not in the list":  {validatorSection + "required_plugins = []\n", "required", "without"},
		"a later file replaces the list": {validatorSection + "required_plugins = []\n", "required_last", "99-zz.toml"},
		"pods can opt out": {
			validatorSection + "tolerate_missing_plugins_annotation = 'example.com/x'\n", "tolerated", "author of a pod",
		},
		"verifiers are disabled": {
			"version = 3\ndisabled_plugins = ['io.containerd.image-verifier.v1.bindir']\n", "pull_plugins", "disables",
		},
		"too few verifiers run": {verifierSection + "max_verifiers = 0\n", "verifier_limit", "not among the first 0"},
		"verifiers are ended early": {
			verifierSection + "per_verifier_timeout = '5s'\n", "verifier_timeout", "after 5s",
		},
		"there is no directory of verifiers": {verifierSection + "bin_dir = 'DIR/absent'\n", "verifier", "absent"},
		"config_path differs": {
			"version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = 'DIR/conf.d'\n",
			"config_path", "conf.d",
		},
	}
	for setting, cause := range map[string]string{
		"use_local_image_pull = true": "use_local", "discard_unpacked_layers = true": "discard_unpacked",
		"disable_snapshot_annotations = false": "disable_snapshot", "max_concurrent_downloads = 5": "downloads is 5",
		"image_pull_with_sync_fs = true": "sync_fs",
	} {
		faults["pulls are local by "+setting] = fault{imagesSection + setting + "\n", "transfer_service", cause}
	}
	if l.Release() != node.Containerd24 {
		// containerd 2.4 cannot restore containers. What else is wrong does not depend on the release.
		faults = map[string]fault{"containers are restored from checkpoints": {
			runtimeSection + "enable_experimental_restore_via_create = true\n", "restore", "enable_experimental",
		}}
	}
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		fault := faults[name]
		t.Run(name, func(t *testing.T) {
			rig.OK(t, l.DropIn("99-zz.toml", strings.ReplaceAll(fault.dropIn, "DIR", l.Path())))
			rig.OK(t, l.RestartContainerd(t.Context()))
			named(t, l.doctor(t, "--no-canaries"), fault.check, fault.cause)
			rig.OK(t, os.Remove(l.Path("conf.d", "99-zz.toml")))
		})
	}
	rig.OK(t, l.RestartContainerd(t.Context()))
	l.well(t, "--no-canaries")
}

// fileFault is a change of the node's files, which ends with the test.
type fileFault struct {
	change       func(*testing.T)
	check, cause string
}

// write writes a file for the duration of a test.
func write(t *testing.T, path, contents string, mode os.FileMode) {
	t.Helper()
	before, err := os.ReadFile(path)
	rig.OK(t, os.MkdirAll(filepath.Dir(path), 0o700))
	rig.OK(t, os.WriteFile(path, []byte(contents), mode))
	t.Cleanup(func() {
		if err == nil {
			rig.OK(t, os.WriteFile(path, before, 0o600))
			return
		}
		rig.OK(t, os.Remove(path))
	})
}

// without removes a file for the duration of a test.
func without(t *testing.T, path string) {
	t.Helper()
	saved := filepath.Join(t.TempDir(), filepath.Base(path))
	rig.OK(t, os.Rename(path, saved))
	t.Cleanup(func() { rig.OK(t, os.Rename(saved, path)) })
}

func (l *lab) fileFaults(t *testing.T) {
	for name, fault := range l.faultsOfFiles() {
		t.Run(name, func(t *testing.T) {
			fault.change(t)
			named(t, l.doctor(t, "--no-canaries"), fault.check, fault.cause)
		})
	}
	l.well(t, "--no-canaries")
}

func (l *lab) faultsOfFiles() map[string]fileFault {
	document := func(text string) func(*testing.T) {
		return func(t *testing.T) { write(t, l.PolicyFile("faulty"), text, 0o600) }
	}
	keyed := fmt.Sprintf(`{"default": [{"type": "sigstoreSigned", "keyPath": %q}]}`, l.Path("key.pub"))
	return map[string]fileFault{
		"a document is invalid":      {document("{"), "policies", "faulty.json"},
		"the system policy is gone":  {func(t *testing.T) { without(t, l.SystemPolicy()) }, "policies", "policy.json"},
		"a scope can never match":    {document(deadScope), "scopes", "registry.example/a"},
		"a key file is missing":      {document(keyed), "keys", "key.pub"},
		"a certificate has expired":  {l.certificate(-time.Hour), "certificates", "expired on"},
		"a certificate expires soon": {l.certificate(time.Hour), "certificates_soon", "expires on"},
		"a document has another name": {
			func(t *testing.T) { write(t, filepath.Join(l.PolicyDirectory(), "prod.yaml"), "", 0o600) },
			"policy_names", "prod.yaml",
		},
		"a key file has no key": {
			func(t *testing.T) { write(t, l.Path("key.pub"), "no key", 0o600); document(keyed)(t) }, "keys", "public key",
		},
		"a hosts.toml is invalid": {
			func(t *testing.T) {
				write(t, filepath.Join(l.CertsDirectory(), "registry.example", "hosts.toml"), "server =", 0o600)
			}, "hosts", "hosts.toml:1",
		},
		"registries.d is invalid": {
			func(t *testing.T) { write(t, l.Path("registries.d", "x.yaml"), "docker: [\n", 0o600) }, "lookasides", "x.yaml",
		},
		"the verifier is missing": {
			func(t *testing.T) { without(t, filepath.Join(l.VerifierDirectory(), node.Verifier)) },
			"verifier", "does not contain countersign-verifier",
		},
		"a verifier cannot be executed": {
			func(t *testing.T) { write(t, filepath.Join(l.VerifierDirectory(), "readme"), "text", 0o600) },
			"verifier_executable", "readme",
		},
		"containerd was not restarted": {
			func(t *testing.T) {
				later := time.Now().Add(time.Hour)
				write(t, l.Path("conf.d", "10-new.toml"), "version = 3\n", 0o600)
				rig.OK(t, os.Chtimes(l.Path("conf.d", "10-new.toml"), later, later))
			}, "containerd_current", "10-new.toml",
		},
		"containerd's configuration is invalid": {
			func(t *testing.T) { write(t, l.Path("conf.d", "10-new.toml"), "version =", 0o600) },
			"containerd_config", "10-new.toml",
		},
	}
}

const deadScope = `{"default": [{"type": "reject"}], "transports": {"docker":
	{"https://registry.example/a": [{"type": "reject"}]}}}`

// certificate returns a document that trusts a certificate with that much time left.
func (l *lab) certificate(left time.Duration) func(*testing.T) {
	return func(t *testing.T) {
		key := rig.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a CA"}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(left),
		}
		raw := rig.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
		write(t, l.Path("ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})), 0o600)
		write(t, l.PolicyFile("faulty"), fmt.Sprintf(`{"default": [{"type": "sigstoreSigned", "pki":
			{"caRootsPath": %q, "subjectEmail": "x@example.com"}, "signedIdentity": {"type": "matchRepository"}}]}`,
			l.Path("ca.pem")), 0o600)
	}
}
