package containerd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/internal/containerd"
)

func TestConfigFlag(t *testing.T) {
	tests := map[string]struct {
		arguments []string
		want      string
	}{
		"none":                        {[]string{"containerd"}, "/etc/containerd/config.toml"},
		"in two arguments":            {[]string{"containerd", "--config", "/x.toml"}, "/x.toml"},
		"in one":                      {[]string{"containerd", "--config=/x.toml", "--log-level", "debug"}, "/x.toml"},
		"short":                       {[]string{"containerd", "-c", "/x.toml"}, "/x.toml"},
		"the last counts":             {[]string{"containerd", "-c", "/x.toml", "-c", "/y.toml"}, "/y.toml"},
		"without a value":             {[]string{"containerd", "--config"}, "/etc/containerd/config.toml"},
		"another flag that begins so": {[]string{"containerd", "--configuration", "/x.toml"}, "/etc/containerd/config.toml"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := containerd.ConfigFlag(test.arguments); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

const (
	validator = "version = 4\n[plugins.'io.containerd.nri.v1.nri'.default_validator]\nenable = true\n"
	ours      = validator + "required_plugins = ['countersign']\n"
)

func TestRequired(t *testing.T) {
	tests := map[string]struct {
		main, dropIns string // drop-ins are separated by a line of dashes
		want          string // empty: required
	}{
		"nothing configured":           {"", "", "do not configure NRI"},
		"required by the main file":    {ours, "", ""},
		"required under its full name": {validator + "required_plugins = ['10-countersign']\n", "", ""},
		"required among others":        {validator + "required_plugins = ['vendor', 'countersign']\n", "", ""},
		"required by a drop-in":        {validator + "required_plugins = ['vendor']\n", ours, ""},
		"switched off by a later one": {
			"", ours + "---\n" + validator + "required_plugins = ['vendor']\n", "is [vendor], without",
		},
		"the validator is not enabled": {strings.Replace(ours, "true", "false", 1), "", "do not enable"},
		"NRI is disabled": {
			"", ours + "---\nversion = 4\n[plugins.'io.containerd.nri.v1.nri']\ndisable = true\n", "disable NRI",
		},
		"pods may do without": {
			ours + "tolerate_missing_plugins_annotation = 'example.com/x'\n", "", "author of a pod",
		},
		"another plugin of a like name":  {validator + "required_plugins = ['countersign2']\n", "", "without"},
		"required in the older versions": {strings.Replace(ours, "version = 4", "version = 3", 1), "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := merged(t, test.main, test.dropIns).Required("10", "countersign")
			if test.want == "" && err != nil {
				t.Errorf("not required: %v", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// writeContainerd writes a configuration that imports drop-ins, in their order.
func writeContainerd(t *testing.T, main, dropIns string) string {
	t.Helper()
	directory := t.TempDir()
	imports := "imports = ['" + filepath.Join(directory, "conf.d", "*.toml") + "']\n"
	files := map[string]string{"config.toml": imports + main}
	for i, dropIn := range strings.Split(dropIns, "---\n") {
		files[filepath.Join("conf.d", string(rune('a'+i))+".toml")] = dropIn
	}
	if err := os.Mkdir(filepath.Join(directory, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, contents := range files {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(directory, "config.toml")
}
