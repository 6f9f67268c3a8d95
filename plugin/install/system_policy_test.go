package install_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/install"
	"github.com/countersign/countersign/plugin/install/journal"
)

// TestAGivenSystemPolicyReplacesNoneThatSomebodyHasWritten installs with system policies, one after the other.
func TestAGivenSystemPolicyReplacesNoneThatSomebodyHasWritten(t *testing.T) {
	example, err := fs.ReadFile(conf.Files(), "policies/system.json")
	if err != nil {
		t.Fatal(err)
	}
	const mine = `{"default": [{"type": "reject"}]}`
	for name, c := range map[string]struct {
		// before is what somebody has written before the first installation, and between after it.
		before, between string
		given           []string
		want            string
	}{
		"none is given":                            {given: []string{""}, want: string(example)},
		"one is given":                             {given: []string{"1"}, want: "1"},
		"another one is given later":               {given: []string{"1", "2"}, want: "2"},
		"one is given after the example":           {given: []string{"", "1"}, want: "1"},
		"none is given after one":                  {given: []string{"1", ""}, want: "1"},
		"somebody has written one":                 {before: mine, given: []string{"1", "2"}, want: mine},
		"somebody has changed the one of before":   {between: mine, given: []string{"1", "2"}, want: mine},
		"somebody has changed the example":         {between: mine, given: []string{"", "1"}, want: mine},
		"somebody has written one, none was given": {before: mine, given: []string{""}, want: mine},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t, standard)
			path := filepath.Join(root, "etc/countersign/system.json")
			if c.before != "" {
				writeFile(t, path, c.before)
			}
			for i, given := range c.given {
				if i > 0 && c.between != "" {
					writeFile(t, path, c.between)
				}
				installWith(t, root, given)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != c.want {
				t.Errorf("the system policy is %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func installWith(t *testing.T, root, policy string) {
	t.Helper()
	installer, err := install.Open(&journal.Host{Root: root}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer installer.Close()
	options := optionsOf("audit")
	if policy != "" {
		options.SystemPolicy = []byte(policy)
	}
	plan, err := installer.Plan(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if err := installer.Apply(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
}
