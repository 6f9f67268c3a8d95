package containerd_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/internal/containerd"
)

func TestConfigurationsThatCannotBeServed(t *testing.T) {
	const (
		restore = "[plugins.'io.containerd.cri.v1.runtime']\nenable_experimental_restore_via_create = true\n"
		stargz  = "[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'stargz'\n"
		runtime = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.lazy]\nsnapshotter = 'stargz'\n"
	)
	tests := map[string]struct {
		config string
		remote []string
		want   string // empty: it can be served
	}{
		"the defaults": {"version = 3\n", []string{"stargz"}, ""},
		"containers are restored": {
			"version = 3\n" + restore, nil, "set enable_experimental_restore_via_create of io.containerd.cri.v1.runtime",
		},
		"containers are restored, in an old file": {
			"version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nenable_experimental_restore_via_create = true\n", nil,
			"set enable_experimental_restore_via_create",
		},
		"containers are not restored": {"version = 3\n" + strings.Replace(restore, "true", "false", 1), nil, ""},
		"the snapshotter is remote": {
			"version = 3\n" + stargz, []string{"soci", "stargz"}, "uses the remote snapshotter stargz",
		},
		"the snapshotter is not remote": {"version = 3\n" + stargz, []string{"soci"}, ""},
		"that of a runtime is remote": {
			"version = 4\n" + runtime, []string{"stargz"}, "insecure_remote_snapshotters = true",
		},
		"that of a platform is remote": {
			"version = 3\n[plugins.'io.containerd.cri.v1.images'.runtime_platforms.x]\nsnapshotter = 'soci'\n",
			[]string{"soci"},
			"uses the remote snapshotter soci",
		},
		"that of an old file is remote": {
			"version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\nsnapshotter = 'stargz'\n",
			[]string{"stargz"},
			"uses the remote snapshotter stargz",
		},
		"that of a runtime in an old file is remote": {
			"version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.lazy]\nsnapshotter = 'soci'\n",
			[]string{"soci"},
			"uses the remote snapshotter soci",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := containerd.Unserved(merged(t, "", test.config), test.remote)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestContainerdThatDoesNotAnswerIsNotUnsupported(t *testing.T) {
	if err := containerd.Unsupported(t.Context(), t.TempDir()+"/containerd.sock", false); err != nil {
		t.Errorf("got %v: an unknown value is not a reason", err)
	}
}

func TestHostsDirectories(t *testing.T) {
	const images = "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry"
	for name, test := range map[string]struct{ config, want string }{
		"nothing set":   {"version = 3\n", "/etc/containerd/certs.d:/etc/docker/certs.d"},
		"the default":   {images + "]\nconfig_path = ''\n", "/etc/containerd/certs.d:/etc/docker/certs.d"},
		"one directory": {images + "]\nconfig_path = '/a'\n", "/a"},
		"a list":        {images + "]\nconfig_path = '/a:/b'\n", "/a:/b"},
		"mirrors":       {images + ".mirrors.'docker.io']\nendpoint = ['https://mirror.example']\n", ""},
		"an old file":   {"version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/c'\n", "/c"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := merged(t, "", test.config).HostsDirectories(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
