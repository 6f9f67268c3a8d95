package systemd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// fault is something that is wrong with an installation.
type fault struct {
	// path is written with contents, and is as before afterwards. The program sh runs make, and afterwards undo.
	path, contents string
	make, undo     string
	// check is the check that finds it, by a part of its cause.
	check, cause string
}

const (
	laterDropIn = "/etc/containerd/conf.d/99-zz.toml"
	ourDropIn   = "/etc/containerd/conf.d/99-countersign.toml"
	verifiers   = "/opt/containerd/image-verifier/bin/"
	config      = "/etc/countersign/config.toml"
	documents   = "/etc/countersign/policies/"
)

// setting returns a file of containerd that sets something of a plugin.
func setting(plugin, text string) string {
	return "version = 3\n[plugins.'" + plugin + "']\n" + text + "\n"
}

// faultsOfContainerd are in files that containerd reads, and the verifier.
func faultsOfContainerd() map[string]fault {
	const nri, pulls = "io.containerd.nri.v1.nri", "io.containerd.cri.v1.images"
	const validator, bindir = nri + "'.'default_validator", "io.containerd.image-verifier.v1.bindir"
	found := map[string]fault{
		"the drop-in is gone": {
			make: "mv " + ourDropIn + " /root/d", undo: "mv /root/d " + ourDropIn, check: "required", cause: "without",
		},
		"the drop-in is invalid": {
			path: ourDropIn, contents: "version =", check: "containerd_config", cause: "99-countersign.toml",
		},
		"NRI has another socket": {
			make: "printf \"version = 3\\n[plugins.'" + nri + "']\\nsocket_path = '/run/other.sock'\\n\" >" + laterDropIn +
				" && systemctl restart containerd",
			undo: "rm " + laterDropIn + " && systemctl restart containerd", check: "nri_socket", cause: "other.sock",
		},
		"the drop-ins are not imported": {
			make: "cp -a " + main + " /root/main && sed -i /^imports/d " + main, undo: "cp -a /root/main " + main,
			check: "required", cause: "without",
		},
		"containerd was not restarted": {
			make: "touch --date=+1hour " + main, undo: "touch --date=2020-01-01 " + main,
			check: "containerd_current", cause: main,
		},
		"verifiers are disabled": {
			path: laterDropIn, contents: "version = 3\ndisabled_plugins = ['" + bindir + "']\n", check: "pull_plugins",
			cause: "disables",
		},
		"the verifier is gone": {
			make: "mv " + verifiers + "countersign-verifier /root/v", undo: "mv /root/v " + verifiers + "countersign-verifier",
			check: "verifier", cause: "does not contain countersign-verifier",
		},
		"the verifier's program is gone": {
			make: "mv /usr/local/bin/countersign-verifier /root/v", undo: "mv /root/v /usr/local/bin/countersign-verifier",
			check: "verifier_executable", cause: "countersign-verifier",
		},
		"the verifier's program cannot be executed": {
			make: "chmod 644 /usr/local/bin/countersign-verifier", undo: "chmod 755 /usr/local/bin/countersign-verifier",
			check: "verifier_executable", cause: "countersign-verifier",
		},
		"another verifier cannot be executed": {
			path: verifiers + "readme", contents: "text", check: "verifier_executable", cause: "readme",
		},
	}
	for plugin, settings := range map[string]map[string][2]string{
		nri: {
			"disable = true":                        {"nri_enabled", "disable NRI"},
			"disable_connections = true":            {"nri_enabled", "disable_connections"},
			"plugin_request_timeout = '300ms'":      {"nri_timeouts", "300ms"},
			"plugin_registration_timeout = '900ms'": {"nri_timeouts", "900ms"},
		},
		validator: {
			"enable = false":        {"validator", "do not enable"},
			"required_plugins = []": {"required_last", "99-zz.toml"},
			"tolerate_missing_plugins_annotation = 'example.com/x'": {"tolerated", "author of a pod"},
		},
		pulls: {
			"use_local_image_pull = true":          {"transfer_service", "use_local"},
			"discard_unpacked_layers = true":       {"transfer_service", "discard_unpacked"},
			"disable_snapshot_annotations = false": {"transfer_service", "disable_snapshot"},
			"max_concurrent_downloads = 5":         {"transfer_service", "downloads is 5"},
			"image_pull_with_sync_fs = true":       {"transfer_service", "sync_fs"},
		},
		pulls + "'.'registry": {"config_path = '/etc/containerd/conf.d'": {"config_path", "conf.d"}},
		bindir: {
			"max_verifiers = 0":           {"verifier_limit", "not among the first 0"},
			"per_verifier_timeout = '5s'": {"verifier_timeout", "after 5s"},
			"bin_dir = '/opt/absent'":     {"verifier", "/opt/absent"},
		},
	} {
		for text, named := range settings {
			found["containerd has "+text] = fault{
				path: laterDropIn, contents: setting(plugin, text), check: named[0], cause: named[1],
			}
		}
	}
	return found
}

// faultsOfTheDaemon are in its service, its configuration and its policies.
func faultsOfTheDaemon() map[string]fault {
	set := func(old, text string) string {
		return "cp -a " + config + " /root/config && sed -i 's|" + old + "|" + text + "|' " + config
	}
	const unset = "cp -a /root/config " + config
	const evidence = "/var/lib/countersign/evidence"
	return map[string]fault{
		"the service is stopped": {
			make: "systemctl stop countersign", undo: "systemctl start countersign",
			check: "daemon", cause: "no daemon listens",
		},
		"the service is disabled": {
			make: "systemctl disable countersign", undo: "systemctl enable countersign",
			check: "supervisor", cause: "countersign.service is disabled",
		},
		"the daemon hangs": {
			make: "systemctl kill --signal STOP countersign", undo: "systemctl kill --signal CONT countersign",
			check: "daemon", cause: "deadline",
		},
		"the service is stopped, and its socket is a file": {
			make:  "systemctl stop countersign && touch /run/countersign/countersign.sock",
			undo:  "rm -f /run/countersign/countersign.sock && systemctl start countersign",
			check: "daemon", cause: "no daemon listens",
		},
		"containerd is stopped": {
			make: "systemctl stop containerd", undo: "systemctl start containerd", check: "containerd", cause: "connect",
		},
		"the configuration has an unknown key": {
			make: set("^\\[enforce\\]", "[police]\\nx = 1\\n[enforce]"), undo: unset, check: "configuration", cause: "police",
		},
		"the configuration was not reloaded": {
			make: set("^mode = .*", "mode = \"audit\""), undo: unset, check: "reloaded", cause: "enforce.mode",
		},
		"the address of containerd is wrong": {
			make: set("^address = .*", "address = \"/run/absent.sock\""), undo: unset, check: "containerd", cause: "absent.sock",
		},
		"the socket of NRI is wrong": {
			make: set("^nri_socket = .*", "nri_socket = \"/run/absent.sock\""), undo: unset, check: "nri_socket",
			cause: "absent.sock",
		},
		"the socket of the kubelet is not there": {
			make: set("^socket = \"\"", "socket = \"/run/absent.sock\""), undo: unset,
			check: "image_service", cause: "absent.sock",
		},
		"the directory of policies is gone": {
			make: "mv /etc/countersign/policies /root/p", undo: "mv /root/p /etc/countersign/policies", check: "policies",
			cause: "/etc/countersign/policies",
		},
		"the system policy is gone": {
			make: "mv /etc/countersign/system.json /root/s", undo: "mv /root/s /etc/countersign/system.json",
			check: "policies", cause: "system.json",
		},
		"a policy is invalid": {path: documents + "faulty.json", contents: "{", check: "policies", cause: "faulty.json"},
		"a policy has another name": {
			path: documents + "prod.yaml", contents: "{}", check: "policy_names", cause: "prod.yaml",
		},
		"a policy has a scope that never matches": {
			path: documents + "dead.json", check: "scopes", cause: "registry.example/a",
			contents: `{"default": [{"type": "reject"}],
				"transports": {"docker": {"https://registry.example/a": [{"type": "reject"}]}}}`,
		},
		"a key file is missing": {
			path: documents + "keyed.json", check: "keys", cause: "absent.pub",
			contents: `{"default": [{"type": "sigstoreSigned", "keyPath": "/etc/countersign/keys/absent.pub"}]}`,
		},
		"a hosts.toml is invalid": {
			path: "/etc/containerd/certs.d/registry.example/hosts.toml", contents: "server =", check: "hosts",
			cause: "hosts.toml:1",
		},
		"registries.d is invalid": {
			path: "/etc/containers/registries.d/x.yaml", contents: "docker: [\n", check: "lookasides", cause: "x.yaml",
		},
		"the evidence cannot be written": {
			make: "mkdir -p " + evidence + " && mount -t tmpfs -o ro tmpfs " + evidence, undo: "umount " + evidence,
			check: "evidence_writable", cause: "read-only",
		},
		"there is no space for evidence": {
			make: "mkdir -p " + evidence + " && mount -t tmpfs -o size=64k tmpfs " + evidence, undo: "umount " + evidence,
			check: "evidence_space", cause: "KiB left",
		},
	}
}

// TestDoctorNamesWhatIsWrongWithAnInstallation makes each fault on a machine that enforces.
func TestDoctorNamesWhatIsWrongWithAnInstallation(t *testing.T) {
	t.Parallel()
	l := installed(t, node.Containerd24, "enforce")
	l.well(t)
	count := 0
	for _, faults := range []map[string]fault{faultsOfContainerd(), faultsOfTheDaemon()} {
		for name, fault := range faults {
			count++
			t.Run(name, func(t *testing.T) { l.names(t, fault) })
		}
	}
	if t.Logf("%d faults", count); count < 30 {
		t.Errorf("there are only %d faults", count)
	}
	l.run(t, "systemctl", "restart", "containerd", "countersign")
	l.well(t)
	l.enforces(t)
}

// names makes a fault, and requires that doctor has a cause and a remedy.
func (l *lab) names(t *testing.T, fault fault) {
	t.Helper()
	if fault.path != "" {
		before, err := os.ReadFile(l.Path(fault.path))
		l.write(t, fault.path, fault.contents)
		defer func() {
			if err != nil {
				l.run(t, "rm", fault.path)
				return
			}
			l.write(t, fault.path, string(before))
		}()
	} else {
		l.run(t, "sh", "-c", fault.make)
		defer l.run(t, "sh", "-c", fault.undo)
	}
	report := l.doctor(t)
	for _, found := range report {
		if found.Check != fault.check {
			continue
		}
		if found.Status == "yes" || !strings.Contains(found.Cause, fault.cause) || found.Remedy == "" {
			t.Errorf("%s is %q (%s), to do: %q; want a cause with %q, and a remedy", found.Check, found.Status, found.Cause,
				found.Remedy, fault.cause)
		}
		return
	}
	t.Errorf("doctor does not report %s: %v", fault.check, report)
}

// answer is one answer of doctor.
type answer struct{ Check, Status, Cause, Remedy string }

// doctor returns the answers of doctor. No time service runs on the machine.
func (l *lab) doctor(t *testing.T) []answer {
	t.Helper()
	// The exit status is the worst answer.
	text, _ := l.Run(t.Context(), "countersign", "doctor", "-o", "json", "--no-canaries", "--skip", "clock",
		"--timeout", "1m")
	var report struct{ Checks []answer }
	rig.OK(t, json.Unmarshal([]byte(text), &report))
	return report.Checks
}

// well runs doctor until all is well.
func (l *lab) well(t *testing.T) {
	t.Helper()
	rig.Eventually(t, "all to be well", func() error {
		report := slices.DeleteFunc(l.doctor(t), func(one answer) bool { return one.Status == "yes" })
		var problems error
		for _, one := range report {
			problems = errors.Join(problems, fmt.Errorf("%s: %s", one.Check, one.Cause))
		}
		return problems
	})
}
