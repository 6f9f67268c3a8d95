package containerd_test

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/internal/containerd"
)

// sourceOf returns a source that has only these files.
func sourceOf(files map[string]string) containerd.Source {
	return containerd.Source{
		Read: func(name string) ([]byte, error) {
			text, ok := files[name]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
			return []byte(text), nil
		},
		Glob: func(pattern string) (found []string, err error) {
			for _, name := range slices.Sorted(maps.Keys(files)) {
				if matches, _ := path.Match(pattern, name); matches {
					found = append(found, name)
				}
			}
			return found, nil
		},
	}
}

// TestFilesElsewhereAreMergedAsContainerdMergesThem compares with [containerd.LoadConfig] of the same files on disk.
func TestFilesElsewhereAreMergedAsContainerdMergesThem(t *testing.T) {
	files := map[string]string{
		"/etc/containerd/config.toml": "version = 3\nimports = ['conf.d/*.toml', '/etc/last.toml']\n" +
			strings.TrimPrefix(validator, "version = 4\n") + "required_plugins = ['main']\n",
		"/etc/containerd/conf.d/a.toml": ours,
		"/etc/containerd/conf.d/b.toml": "version = 3\nimports = ['/etc/containerd/config.toml']\n",
		"/etc/last.toml":                "version = 3\n[plugins.'io.containerd.nri.v1.nri']\nsocket_path = '/x.sock'\n",
	}
	config, err := containerd.LoadConfigFrom(t.Context(), sourceOf(files), "/etc/containerd/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := config.Required("10", "countersign"); err != nil {
		t.Error(err)
	}
	if got := config.NRISocket(); got != "/x.sock" {
		t.Errorf("NRI's socket is %s", got)
	}
	want := []string{
		"/etc/containerd/config.toml", "/etc/containerd/conf.d/a.toml", "/etc/containerd/conf.d/b.toml", "/etc/last.toml",
	}
	if diff := cmp.Diff(want, config.Files()); diff != "" {
		t.Errorf("the order of the files (-want +got):\n%s", diff)
	}
}

func TestErrorsNameTheFileAndNotItsCopy(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a missing import": {map[string]string{"/c.toml": "imports = ['/absent.toml']"}, "/absent.toml"},
		"not TOML":         {map[string]string{"/c.toml": "version ="}, "/c.toml"},
		"a wrong type":     {map[string]string{"/c.toml": "imports = 'x'"}, "imports is not a list"},
		"a wrong version":  {map[string]string{"/c.toml": "version = 99"}, "/c.toml"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := containerd.LoadConfigFrom(t.Context(), sourceOf(test.files), "/c.toml")
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "/tmp/") {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
	if _, err := containerd.LoadConfigFrom(t.Context(), sourceOf(nil), "/c.toml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
}
