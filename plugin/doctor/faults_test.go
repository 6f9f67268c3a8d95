package doctor_test

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/doctor"
	"github.com/countersign/countersign/plugin/internal/socket"
)

const (
	nriPlugin = "io.containerd.nri.v1.nri"
	images    = "io.containerd.cri.v1.images"
	bindir    = "io.containerd.image-verifier.v1.bindir"
)

func TestAllIsWell(t *testing.T) {
	results := examine(newHost(t).read())
	for name, result := range results {
		if result.Status != doctor.Yes || result.Remedy != "" {
			t.Errorf("%s is %+v", name, result)
		}
	}
	if got := doctor.Worst(slices.Collect(maps.Values(results))); got != doctor.Yes {
		t.Errorf("the worst of them is %s", got)
	}
}

// fault is one thing that is wrong with a node: its files, or what its processes answer.
type fault struct {
	files     func(*host)
	processes func(*doctor.Node)
	// check is the check that finds it, by a part of the cause.
	check, cause string
	// unknown is set if the answer is unknown and not no.
	unknown bool
	// others are further checks that are not answered with yes; nil: all others may not be.
	others []string
}

func alone() []string { return []string{} }

func file(name, contents string) func(*host) { return func(h *host) { h.write(name, contents) } }

func set(plugin, setting string) func(*host) { return func(h *host) { h.set(plugin, setting) } }

// denies returns a change of what the daemon reports: a check is answered with no.
func denies(check, cause string) func(*doctor.Node) {
	return func(n *doctor.Node) {
		for i := range n.Daemon.Value.Checks {
			if found := &n.Daemon.Value.Checks[i]; found.Check == check {
				found.Status, found.Cause = "no", cause
			}
		}
	}
}

func processFaults() map[string]fault {
	return map[string]fault{
		"config.toml has unknown keys": {
			files: file("config.toml", "[police]\nx = 1\n[log]\nlevel = 'loud'\n"),
			check: "configuration", cause: "police",
		},
		"the daemon is down": {
			processes: func(n *doctor.Node) { n.Daemon.Err = socket.ErrNoDaemon },
			check:     "daemon", cause: "no daemon listens", others: []string{"registered", "reloaded", "sandbox_image"},
		},
		"the daemon hangs": {
			processes: func(n *doctor.Node) { n.Daemon.Err = errors.New("context deadline exceeded") },
			check:     "daemon", cause: "deadline", unknown: true, others: []string{"registered", "reloaded", "sandbox_image"},
		},
		"the supervisor has ended": {
			processes: func(n *doctor.Node) { n.Supervisor.Value.Installed = true },
			check:     "supervisor", cause: "no supervisor runs", others: alone(),
		},
		"the service is disabled": {
			processes: func(n *doctor.Node) { n.Supervisor.Value.Unit = "disabled" },
			check:     "supervisor", cause: "countersign.service is disabled", others: alone(),
		},
		"systemd has no service": {
			processes: func(n *doctor.Node) { n.Supervisor.Value.Unit = "not-found" },
			check:     "supervisor", cause: "countersign.service is not-found", others: alone(),
		},
		"it is not known whether a supervisor runs": {
			processes: func(n *doctor.Node) { n.Supervisor.Err = errors.New("permission denied") },
			check:     "supervisor", cause: "permission denied", unknown: true, others: alone(),
		},
		"the daemon is in audit mode, and the file enforces": {
			processes: func(n *doctor.Node) { n.Daemon.Value.Mode = "audit" },
			check:     "reloaded", cause: `enforce.mode is "audit", and the file has "enforce"`, others: alone(),
		},
		"a namespace is exempt only in the daemon": {
			processes: func(n *doctor.Node) { n.Daemon.Value.Namespaces = map[string]string{"dev": "audit"} },
			check:     "reloaded", cause: "enforce.namespaces", others: alone(),
		},
		"the image service is configured and not reachable": {
			files: func(h *host) { h.add("config.toml", "[cri_proxy]\nsocket = \"DIR/cri.sock\"\n") },
			processes: func(n *doctor.Node) {
				n.Daemon.Value.ImageService = n.Config.Value.CRIProxy.Socket
			},
			check: "image_service", cause: "cri.sock", others: alone(),
		},
		"containerd is down": {
			processes: func(n *doctor.Node) {
				n.Version.Err = errors.New("connection refused")
				n.Started.Err = n.Version.Err
			},
			check: "containerd", cause: "refused", others: []string{"containerd_version", "containerd_current"},
		},
		"containerd is too old": {
			processes: func(n *doctor.Node) { n.Version.Value = "2.1.4" },
			check:     "containerd_version", cause: "2.1.4", others: alone(),
		},
		"containerd was not restarted": {
			processes: func(n *doctor.Node) { n.Started.Value = time.Now().Add(-time.Hour) },
			check:     "containerd_current", cause: "was changed after containerd was started", others: alone(),
		},
		"NRI's socket is missing": {
			processes: func(n *doctor.Node) { n.NRI = errors.New("no such file or directory") },
			check:     "nri_socket", cause: "no such file", others: alone(),
		},
		"somebody who is not root looks": {
			processes: func(n *doctor.Node) { n.Version.Err = fs.ErrPermission; n.NRI = fs.ErrPermission },
			check:     "nri_socket", cause: "permission", unknown: true, others: []string{"containerd", "containerd_version"},
		},
		"NRI's socket is somewhere else": {
			files:     set(nriPlugin, "socket_path = '/run/other.sock'"),
			processes: func(n *doctor.Node) { n.NRI = errors.New("no such file or directory") },
			check:     "nri_socket", cause: `socket_path = "/run/other.sock"`, others: alone(),
		},
		"a snapshotter is remote": {
			files:     set(images, "snapshotter = 'stargz'"),
			processes: func(n *doctor.Node) { n.Remote.Value = []string{"stargz"} },
			check:     "snapshotters", cause: "stargz", others: alone(),
		},
		"the plugin is not registered": {
			processes: denies("registered", "containerd's NRI accepts no plugin"),
			check:     "registered", cause: "accepts no plugin", others: alone(),
		},
		"no policy admits the sandbox image": {
			processes: denies("sandbox_image", "pause:1 is unsigned"),
			check:     "sandbox_image", cause: "pause:1", others: alone(),
		},
		"the daemon found a document invalid": {
			processes: denies("policies", "an earlier version is in force"),
			check:     "policies", cause: "earlier version", others: alone(),
		},
	}
}

func containerdFaults() map[string]fault {
	return map[string]fault{
		"containerd's configuration does not parse": {
			files: file("containerd.toml", "version = "), check: "containerd_config", cause: "containerd.toml", unknown: true,
		},
		"NRI is disabled": {
			files: set(nriPlugin, "disable = true"), check: "nri_enabled", cause: "disable NRI", others: alone(),
		},
		"the plugin for NRI is disabled": {
			files: file("conf.d/50-other.toml", "version = 3\ndisabled_plugins = [\""+nriPlugin+"\"]\n"),
			check: "nri_enabled", cause: "disable the plugin", others: alone(),
		},
		"NRI accepts no connections": {
			files: set(nriPlugin, "disable_connections = true"), check: "nri_enabled", cause: "disable_connections",
			others: alone(),
		},
		"NRI's request timeout is too short": {
			files: set(nriPlugin, "plugin_request_timeout = '300ms'"), check: "nri_timeouts", cause: "300ms", others: alone(),
		},
		"NRI's registration timeout is too short": {
			files: set(nriPlugin, "plugin_registration_timeout = '100ms'"), check: "nri_timeouts", cause: "100ms",
			others: alone(),
		},
		"containers are restored from checkpoints": {
			files: set("io.containerd.cri.v1.runtime", "enable_experimental_restore_via_create = true"),
			check: "restore", cause: "enable_experimental_restore_via_create", others: alone(),
		},
		"the validator is off": {
			files: file("conf.d/99-countersign.toml", strings.Replace(validator, "true", "false", 1)+
				"required_plugins = [\"countersign\"]\n"),
			check: "validator", cause: "do not enable", others: alone(),
		},
		"the drop-in is missing": {
			files: func(h *host) { h.remove("conf.d") },
			check: "required", cause: `without "countersign"`, others: []string{"validator"},
		},
		"a later drop-in replaces the list": {
			files: file("conf.d/99-vendor.toml", validator+"required_plugins = [\"vendor\"]\n"),
			check: "required_last", cause: "99-vendor.toml", others: []string{"required"},
		},
		"pods may opt out": {
			files: file("conf.d/50-other.toml", validator+"tolerate_missing_plugins_annotation = 'example.com/x'\n"),
			check: "tolerated", cause: "author of a pod", others: alone(),
		},
	}
}

func TestEachFaultIsNamedWithItsRemedy(t *testing.T) {
	for name, fault := range allFaults() {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			if fault.files != nil {
				fault.files(h)
			}
			node := h.read()
			if fault.processes != nil {
				fault.processes(node)
			}
			want := doctor.No
			if fault.unknown {
				want = doctor.Unknown
			}
			results := examine(node)
			found := results[fault.check]
			if found.Status != want || !strings.Contains(found.Cause, fault.cause) {
				t.Errorf("%s is %s (%s); want %s and %q", fault.check, found.Status, found.Cause, want, fault.cause)
			}
			for name, result := range results {
				expected := name == fault.check || fault.others == nil || slices.Contains(fault.others, name)
				if result.Status != doctor.Yes && !expected {
					t.Errorf("%s is %s too: %s", name, result.Status, result.Cause)
				}
				if one := !strings.Contains(result.Remedy, "\n"); (result.Remedy == "") != (result.Status == doctor.Yes) || !one {
					t.Errorf("the remedy of %s is %q", name, result.Remedy)
				}
			}
		})
	}
}

// TestWhatDependsOnAnotherCheckSaysSo: a remedy would be wrong, because the answer is not known.
func TestWhatDependsOnAnotherCheckSaysSo(t *testing.T) {
	node := newHost(t).read()
	node.Daemon.Err = socket.ErrNoDaemon
	const want = "see to the check daemon first"
	if found := examine(node)["sandbox_image"]; found.Status != doctor.Unknown || found.Remedy != want {
		t.Errorf("sandbox_image is %+v", found)
	}
}

func allFaults() map[string]fault {
	all := make(map[string]fault)
	for _, some := range []map[string]fault{
		processFaults(), containerdFaults(), pullFaults(), policyFaults(), hostFaults(), canaryFaults(),
	} {
		maps.Copy(all, some)
	}
	return all
}

// TestEveryCheckFindsSomething: a check that nothing can fail proves nothing.
func TestEveryCheckFindsSomething(t *testing.T) {
	found := make(map[string]bool)
	for _, fault := range allFaults() {
		found[fault.check] = true
	}
	for _, check := range doctor.Checks() {
		if !found[check.Name] {
			t.Errorf("no fault is for %s", check.Name)
		}
	}
	if len(allFaults()) < 30 {
		t.Errorf("only %d faults are tested", len(allFaults()))
	}
}
