package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Skopeo returns the path of the distribution's skopeo, which a script installs with apt if the test runs as root.
// Without skopeo it skips the test, or fails it in CI.
func Skopeo(t testing.TB) string {
	t.Helper()
	repository, err := findRepository()
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), filepath.Join(repository, "scripts", "skopeo.sh")).Output()
	if err == nil {
		return strings.TrimSpace(string(output))
	}
	said := fmt.Sprint(err)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		said += ": " + string(exit.Stderr)
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("this test needs skopeo, and in CI it must run: %s", said)
	}
	t.Skipf("SKIPPED, AND NOTHING WAS TESTED: %s", said)
	return ""
}
