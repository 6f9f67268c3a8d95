package install_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLaterChangesArePreserved: a removal reverts the changes of the installation only.
func TestLaterChangesArePreserved(t *testing.T) {
	const template = "var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl"
	for name, test := range map[string]struct {
		root, file   string
		change, want func(text string) string
	}{
		"a line in containerd's file": {
			standard, "etc/containerd/config.toml",
			func(text string) string { return strings.Replace(text, "false", "true", 1) },
			func(original string) string { return strings.Replace(original, "false", "true", 1) },
		},
		"a line after an import": {
			"-- etc/containerd/config.toml --\nimports = ['/etc/a.toml']\n-- etc/a.toml --\n", "etc/containerd/config.toml",
			func(text string) string { return text + "oom_score = 1\n" },
			func(original string) string { return original + "oom_score = 1\n" },
		},
		"the template of k3s": {
			k3sNode + "-- " + template + " --\n{{ template \"base\" . }}\n", template,
			func(text string) string { return "# mine\n" + text + "[debug]\nlevel = 'debug'\n" },
			func(original string) string { return "# mine\n" + original + "[debug]\nlevel = 'debug'\n" },
		},
		"the configuration of countersign": {
			standard, "etc/countersign/config.toml",
			func(text string) string { return text + "# mine\n" },
			nil, // It is left as it is.
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t, test.root)
			path := filepath.Join(root, test.file)
			original, _ := os.ReadFile(path)
			do(t, root, "audit")
			installed, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			changed := test.change(string(installed))
			writeFile(t, path, changed)
			do(t, root, "uninstall")
			want := changed
			if test.want != nil {
				want = test.want(string(original))
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
}

// TestAnUpgradeKeepsTheOperatorsSettings, and the mode that was installed.
func TestAnUpgradeKeepsTheOperatorsSettings(t *testing.T) {
	root := newRoot(t, standard)
	do(t, root, "audit", "enforce")
	path := filepath.Join(root, "etc/countersign/config.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(string(text), `mode = "enforce"`, `mode = "audit" # for a week`, 1)
	writeFile(t, path, edited)
	plan, err := planOf(t, root, "same 2")
	if err != nil {
		t.Fatal(err)
	}
	if plan.Mode != "enforce" || plan.BeginsToEnforce() {
		t.Errorf("the mode is %s, and it begins to enforce: %v", plan.Mode, plan.BeginsToEnforce())
	}
	do(t, root, "enforce 2")
	if got, err := os.ReadFile(path); err != nil || string(got) != edited {
		t.Errorf("the configuration is %q, %v", got, err)
	}
}

// TestPluginsThatOnlyOurDropInRequires are not lost when the drop-in is written again.
func TestPluginsThatOnlyOurDropInRequires(t *testing.T) {
	root := newRoot(t, standard)
	do(t, root, "audit", "enforce")
	path := filepath.Join(root, "etc/containerd/conf.d/99-countersign.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, strings.Replace(string(text), `["countersign"]`, `["vendor", "countersign"]`, 1))
	do(t, root, "enforce 2")
	if required := effective(t, root).RequiredPlugins(); strings.Join(required, " ") != "vendor countersign" {
		t.Errorf("containerd requires %v", required)
	}
	if _, err := planOf(t, root, "audit"); err == nil || !strings.Contains(err.Error(), "the plugin vendor") {
		t.Errorf("audit mode removes the plugin of others: %v", err)
	}
}
