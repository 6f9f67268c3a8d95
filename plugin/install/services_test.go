package install_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/install"
	"github.com/countersign/countersign/plugin/install/journal"
	"github.com/countersign/countersign/plugin/supervisor"
)

// services records the calls of systemctl. There is no systemd here: integration/systemd runs a real one.
type services struct {
	root  string
	calls []string
	// fails is the call that fails, and notReady is set if the daemon does not become ready.
	fails    string
	notReady bool
	// supervised is set if a supervisor runs: containerd starts it.
	supervised bool
}

func (s *services) system() *install.System {
	return &install.System{
		Systemctl: func(_ context.Context, arguments ...string) (string, error) {
			call := strings.Join(arguments, " ")
			if arguments[0] == "is-active" {
				if call != "is-active --quiet containerd.service" && call != "is-active --quiet countersign.service" {
					return "", errors.New("exit status 3")
				}
				return "", nil
			}
			_, err := os.Lstat(filepath.Join(s.root, "etc/containerd/conf.d/99-countersign.toml"))
			s.calls = append(s.calls, call+map[bool]string{true: ", with drop-in", false: ""}[err == nil])
			if _, err := os.Lstat(filepath.Join(s.root, "opt/nri/plugins/10-countersign")); err == nil &&
				call == "restart containerd.service" {
				s.supervised = true
			}
			if call == s.fails {
				return "it is broken\n", errors.New("exit status 1")
			}
			return "", nil
		},
		Ready: func(_ context.Context, enforce bool) error {
			s.calls = append(s.calls, map[bool]string{true: "await required", false: "await registered"}[enforce])
			if s.notReady {
				return errors.New("not registered")
			}
			return nil
		},
		Supervisor: func(_ context.Context, request install.SupervisorRequest) error {
			if !s.supervised {
				if request == install.StopSupervisor {
					return nil
				}
				return supervisor.ErrNone
			}
			if request != install.FindSupervisor {
				s.calls = append(s.calls, string(request)+" the supervisor")
			}
			s.supervised = request != install.StopSupervisor
			return nil
		},
		Progress: func(string) {},
	}
}

// runWith is [run] with services.
func runWith(t *testing.T, s *services, operation string) error {
	t.Helper()
	installer, err := install.Open(&journal.Host{Root: s.root}, s.system())
	if err != nil {
		t.Fatal(err)
	}
	defer installer.Close()
	switch operation {
	case "uninstall":
		_, err = installer.Uninstall(t.Context(), install.Removal{})
		return err
	case "switch off":
		_, err = installer.SwitchOff(t.Context())
		return err
	case "recover":
		_, err = installer.Recover(t.Context())
		return err
	}
	plan, err := installer.Plan(t.Context(), optionsOf(operation))
	if err != nil {
		t.Fatal(err)
	}
	return installer.Apply(t.Context(), plan)
}

func TestServicesAreRestartedInTheOrderInWhichContainersCanStart(t *testing.T) {
	for name, test := range map[string]struct {
		before    []string
		operation string
		want      []string
	}{
		"a first installation": {nil, "audit", []string{
			"restart containerd.service, with drop-in", "daemon-reload, with drop-in",
			"restart countersign.service, with drop-in", "await registered",
		}},
		"nothing changes": {[]string{"audit"}, "audit", nil},
		// The daemon decides what it enforces before containerd requires it.
		"enforce": {[]string{"audit"}, "enforce", []string{
			"reload-or-restart countersign.service, with drop-in", "restart containerd.service, with drop-in", "await required",
		}},
		"back to audit": {[]string{"audit", "enforce"}, "audit", []string{
			"restart containerd.service, with drop-in", "reload-or-restart countersign.service, with drop-in",
			"await registered",
		}},
		"an upgrade": {[]string{"audit"}, "audit 2", []string{
			"daemon-reload, with drop-in", "restart countersign.service, with drop-in", "await registered",
		}},
		// containerd works without the plugin before the plugin stops.
		"a removal": {[]string{"audit", "enforce"}, "uninstall", []string{
			"restart containerd.service", "stop countersign.service", "daemon-reload",
		}},
		"a first installation as a plugin": {nil, "audit plugin", []string{
			"restart containerd.service, with drop-in", "await registered",
		}},
		"a plugin: enforce": {[]string{"audit plugin"}, "enforce", []string{
			"reload the supervisor", "restart containerd.service, with drop-in", "await required",
		}},
		"a plugin: an upgrade": {[]string{"audit plugin", "enforce"}, "same 2", []string{
			"replace the supervisor", "await required",
		}},
		"a plugin: an upgrade of the package": {[]string{"audit plugin installed"}, "same installed2", []string{
			"replace the supervisor", "await registered",
		}},
		"a plugin: after an upgrade of the package": {
			[]string{"audit plugin installed", "same installed2"}, "same installed2", nil,
		},
		"a plugin: nothing changes": {[]string{"audit plugin"}, "same", nil},
		"a plugin: a removal": {[]string{"audit plugin", "enforce"}, "uninstall", []string{
			"restart containerd.service", "stop countersign.service", "stop the supervisor", "daemon-reload",
		}},
		"a plugin: an emergency": {[]string{"audit plugin", "enforce"}, "switch off", []string{
			"restart containerd.service", "stop countersign.service", "stop the supervisor",
		}},
		"from a service to a plugin": {[]string{"audit", "enforce"}, "same plugin", []string{
			"stop countersign.service, with drop-in", "restart containerd.service, with drop-in",
			"daemon-reload, with drop-in", "await required",
		}},
		"from a plugin to a service": {[]string{"audit plugin", "enforce"}, "same service", []string{
			"stop the supervisor", "daemon-reload, with drop-in", "restart countersign.service, with drop-in",
			"restart containerd.service, with drop-in", "await required",
		}},
		"an emergency": {[]string{"audit", "enforce"}, "switch off", []string{
			"restart containerd.service", "disable --now countersign.service",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &services{root: newRoot(t, standard)}
			for _, operation := range test.before {
				if err := runWith(t, s, operation); err != nil {
					t.Fatal(err)
				}
			}
			s.calls = nil
			if err := runWith(t, s, test.operation); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, s.calls); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFailureRestoresTheStateBefore(t *testing.T) {
	for name, test := range map[string]struct {
		services services
		before   []string
		then     string
		// calls are made after the failure.
		calls []string
	}{
		"containerd does not start again": {
			services{fails: "restart containerd.service"},
			nil, "audit",
			[]string{"restart containerd.service", "stop countersign.service", "daemon-reload"},
		},
		"the service does not start": {
			services{fails: "restart countersign.service"},
			nil, "audit",
			[]string{"restart containerd.service", "stop countersign.service", "daemon-reload"},
		},
		"the supervisor's daemon does not register": {
			services{notReady: true},
			nil, "audit plugin",
			[]string{
				"restart containerd.service", "stop countersign.service", "stop the supervisor", "daemon-reload",
			},
		},
		"the plugin does not register": {
			services{notReady: true},
			[]string{"audit"},
			"enforce",
			[]string{
				"restart containerd.service, with drop-in", "daemon-reload, with drop-in",
				"restart countersign.service, with drop-in",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t, standard)
			do(t, root, test.before...)
			before := tree(t, root)
			s := test.services
			s.root = root
			err := runWith(t, &s, test.then)
			if err == nil || !strings.Contains(err.Error(), "nothing was installed") {
				t.Fatalf("got %v", err)
			}
			same(t, "after the failure", tree(t, root), before)
			if got := s.calls[max(0, len(s.calls)-len(test.calls)):]; !slices.Equal(got, test.calls) {
				t.Errorf("the last calls are %q, want %q", got, test.calls)
			}
		})
	}
}

func TestTheServiceStaysWhileTheKubeletPullsThroughIt(t *testing.T) {
	root := newRoot(t, standard+`-- var/lib/kubelet/config.yaml --
imageServiceEndpoint: unix:///run/countersign/cri.sock
`)
	s := &services{root: root}
	if err := runWith(t, s, "audit"); err != nil {
		t.Fatal(err)
	}
	s.calls = nil
	for _, operation := range []string{"uninstall", "switch off"} {
		if err := runWith(t, s, operation); err == nil || !strings.Contains(err.Error(), "imageServiceEndpoint") {
			t.Errorf("%s: got %v", operation, err)
		}
	}
	if slices.ContainsFunc(s.calls, func(call string) bool { return strings.Contains(call, "countersign.service") }) {
		t.Errorf("the service is stopped: %q", s.calls)
	}
}
