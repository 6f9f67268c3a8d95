package scripts_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheVersionOfAReleaseIsThatOfItsTag: dist.sh and image.sh name releases by version.sh.
func TestTheVersionOfAReleaseIsThatOfItsTag(t *testing.T) {
	script, err := filepath.Abs("version.sh")
	if err != nil {
		t.Fatal(err)
	}
	repository := t.TempDir()
	run := func(program string, arguments ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), program, arguments...)
		command.Dir = repository
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", program, arguments, err, output)
		}
		return strings.TrimSpace(string(output))
	}
	git := func(arguments ...string) {
		t.Helper()
		run("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, arguments...)...)
	}
	git("init", "--quiet")
	for _, step := range []struct {
		name, tag, want string
	}{
		{"without a tag", "", `^0\.0\.0-dev\.[0-9a-f]{7,}$`},
		{"at a tag", "v7.8.9", `^7\.8\.9$`},
		{"after a tag", "", `^7\.8\.9-1-g[0-9a-f]{7,}$`},
		{"at a tag that is no version", "nightly", `^7\.8\.9-2-g[0-9a-f]{7,}$`},
		{"at the tag of a candidate", "v7.9.0-rc.1", `^7\.9\.0-rc\.1$`},
	} {
		git("commit", "--quiet", "--allow-empty", "--message", step.name)
		if step.tag != "" {
			git("tag", step.tag)
		}
		if version := run(script); !regexp.MustCompile(step.want).MatchString(version) {
			t.Errorf("%s, the version is %s, want %s", step.name, version, step.want)
		}
	}
}
