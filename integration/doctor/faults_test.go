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

// fileFault is a change of the node's files.
type fileFault struct {
	// written are contents by path. gone is a file that is removed, and later one that is changed in the future.
	written     map[string]string
	gone, later string

	check, cause string
}

// write writes a file for the duration of a test.
func write(t *testing.T, path, contents string) {
	t.Helper()
	before, err := os.ReadFile(path)
	rig.OK(t, os.MkdirAll(filepath.Dir(path), 0o700))
	rig.OK(t, os.WriteFile(path, []byte(contents), 0o600))
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
	for name, fault := range l.faultsOfFiles(t) {
		t.Run(name, func(t *testing.T) {
			for path, contents := range fault.written {
				write(t, path, contents)
			}
			if fault.gone != "" {
				without(t, fault.gone)
			}
			if fault.later != "" {
				later := time.Now().Add(time.Hour)
				rig.OK(t, os.Chtimes(fault.later, later, later))
			}
			named(t, l.doctor(t, "--no-canaries"), fault.check, fault.cause)
		})
	}
	l.well(t, "--no-canaries")
}

func (l *lab) faultsOfFiles(t *testing.T) map[string]fileFault {
	t.Helper()
	document, key, ca := l.PolicyFile("faulty"), l.Path("key.pub"), l.Path("ca.pem")
	dropIn, hosts := l.Path("conf.d", "10-new.toml"), filepath.Join(l.CertsDirectory(), "registry.example", "hosts.toml")
	keyed := fmt.Sprintf(`{"default": [{"type": "sigstoreSigned", "keyPath": %q}]}`, key)
	trusting := fmt.Sprintf(`{"default": [{"type": "sigstoreSigned", "pki": {"caRootsPath": %q,
		"subjectEmail": "x@example.com"}, "signedIdentity": {"type": "matchRepository"}}]}`, ca)
	files := func(pairs ...string) map[string]string {
		written := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			written[pairs[i]] = pairs[i+1]
		}
		return written
	}
	return map[string]fileFault{
		"a document is invalid":     {written: files(document, "{"), check: "policies", cause: "faulty.json"},
		"the system policy is gone": {gone: l.SystemPolicy(), check: "policies", cause: "policy.json"},
		"a scope can never match":   {written: files(document, deadScope), check: "scopes", cause: "registry.example/a"},
		"a key file is missing":     {written: files(document, keyed), check: "keys", cause: "key.pub"},
		"a certificate has expired": {
			written: files(document, trusting, ca, certificate(t, -time.Hour)), check: "certificates", cause: "expired on",
		},
		"a certificate expires soon": {
			written: files(document, trusting, ca, certificate(t, time.Hour)), check: "certificates_soon",
			cause: "expires on",
		},
		"a document has another name": {
			written: files(filepath.Join(l.PolicyDirectory(), "prod.yaml"), ""), check: "policy_names", cause: "prod.yaml",
		},
		"a key file has no key":   {written: files(document, keyed, key, "no key"), check: "keys", cause: "public key"},
		"a hosts.toml is invalid": {written: files(hosts, "server ="), check: "hosts", cause: "hosts.toml:1"},
		"registries.d is invalid": {
			written: files(l.Path("registries.d", "x.yaml"), "docker: [\n"), check: "lookasides", cause: "x.yaml",
		},
		"the verifier is missing": {
			gone:  filepath.Join(l.VerifierDirectory(), node.Verifier),
			check: "verifier", cause: "does not contain countersign-verifier",
		},
		"a verifier cannot be executed": {
			written: files(filepath.Join(l.VerifierDirectory(), "readme"), "text"),
			check:   "verifier_executable", cause: "readme",
		},
		"containerd was not restarted": {
			written: files(dropIn, "version = 3\n"), later: dropIn, check: "containerd_current", cause: "10-new.toml",
		},
		"containerd's configuration is invalid": {
			written: files(dropIn, "version ="), check: "containerd_config", cause: "10-new.toml",
		},
	}
}

const deadScope = `{"default": [{"type": "reject"}], "transports": {"docker":
	{"https://registry.example/a": [{"type": "reject"}]}}}`

// certificate returns the certificate of a CA with that much time left.
func certificate(t *testing.T, left time.Duration) string {
	t.Helper()
	key := rig.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(left),
	}
	raw := rig.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}
