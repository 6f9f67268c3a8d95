package evidence_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

// The rules are containerd's (2.4.2, internal/cri/server/images: hostDirFromRoots).
func TestTheFirstDirectoryOfConfigPathThatHasAHostCounts(t *testing.T) {
	right := func(r *testRegistry) string { return fmt.Sprintf("server = %q\n", r.server.URL) }
	const wrong = "server = \"http://127.0.0.1:1\"\n"
	for name, test := range map[string]struct {
		// first and second are the directories; an empty content is replaced by that of the right host.
		first, second map[string]string
		found         bool
	}{
		"it is in the first": {map[string]string{"registry.example": ""}, nil, true},
		"it is in the second": {
			map[string]string{"other.example": wrong}, map[string]string{"registry.example": ""}, true,
		},
		"the first does not exist": {nil, map[string]string{"registry.example": ""}, true},
		"it is in both": {
			map[string]string{"registry.example": ""}, map[string]string{"registry.example": wrong}, true,
		},
		"the second one does not count": {
			map[string]string{"registry.example": wrong}, map[string]string{"registry.example": ""}, false,
		},
		"the first has a default": {
			map[string]string{"_default": ""}, map[string]string{"registry.example": wrong}, true,
		},
		"the first has both": {map[string]string{"_default": wrong, "registry.example": ""}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, m := newRegistry(t), manifestOf("image")
			r.sign(t, "app", m, signed(1))
			var roots []string
			for i, hosts := range []map[string]string{test.first, test.second} {
				root := filepath.Join(t.TempDir(), fmt.Sprint(i))
				roots = append(roots, root)
				for host, content := range hosts {
					if content == "" {
						content = right(r)
					}
					write(t, filepath.Join(root, host, "hosts.toml"), content)
				}
			}
			keeper := open(t, reaching(registry.Config{HostsDirectory: strings.Join(roots, ":")}))
			got := fetched(t, keeper, parse(t, "registry.example/app:v1"), m)
			if (got.State == policy.Found) != test.found {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestADirectoryOfConfigPathThatDoesNotExistIsNamed(t *testing.T) {
	there := t.TempDir()
	r := registry.New(registry.Config{HostsDirectory: there + ":/nonexistent/a:/nonexistent/b"})
	if diff := cmp.Diff([]string{"/nonexistent/a", "/nonexistent/b"}, r.MissingHostsDirectories()); diff != "" {
		t.Error(diff)
	}
	if missing := registry.New(registry.Config{}).MissingHostsDirectories(); len(missing) > 0 {
		t.Errorf("of none, %v are missing", missing)
	}
}
