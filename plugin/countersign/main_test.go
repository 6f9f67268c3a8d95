package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/countersign/countersign/plugin/verifier"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"countersign": main,
		"countersign-verifier": func() {
			os.Exit(verifier.Run(os.Args, os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// TestScripts runs the program as its users do, one script per use.
func TestScripts(t *testing.T) {
	fixtures, err := filepath.Abs(fixtureDirectory)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("FIXTURES", fixtures)
			env.Setenv("DIGEST", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
			return errors.Join(
				writeConfig(env.WorkDir, "node.toml", "deny"), writeConfig(env.WorkDir, "lax.toml", "allow"),
				writeAuditConfig(env.WorkDir),
			)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "status": exitsWith},
	})
}

// writeConfig writes a configuration whose paths are all below the script's directory.
func writeConfig(directory, name, withoutDaemon string) error {
	text := os.Expand(`
[policy]
system = "${DIR}/policy.json"
cluster = "${DIR}/cluster.json"
directory = "${DIR}/policies"
[evidence]
directory = "${DIR}/evidence"
[registry]
config_path = ""
lookaside = ""
auth_file = ""
[pull]
on_daemon_unavailable = "${WITHOUT}"
[containerd]
address = "${DIR}/containerd.sock"
nri_socket = "${DIR}/nri.sock"
[listen]
socket = "${DIR}/run/s"
metrics = ""
`, func(variable string) string {
		return map[string]string{"DIR": directory, "WITHOUT": withoutDaemon}[variable]
	})
	return os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600)
}

// writeAuditConfig writes a configuration that names an audit log file in the script's directory.
func writeAuditConfig(directory string) error {
	text := fmt.Sprintf("[audit]\nfile = %q\nmax_files = 2\n[listen]\nsocket = %q\n",
		filepath.Join(directory, "logs", "audit.log"), filepath.Join(directory, "run", "s"))
	return os.WriteFile(filepath.Join(directory, "file.toml"), []byte(text), 0o600)
}

// await waits until the daemon of a script answers at its socket.
func await(script *testscript.TestScript, negated bool, arguments []string) {
	if negated || len(arguments) != 1 {
		script.Fatalf("usage: await SOCKET")
	}
	path, ticker := script.MkAbs(arguments[0]), time.NewTicker(5*time.Millisecond)
	defer ticker.Stop()
	for range 6000 {
		connection, err := net.Dial("unix", path)
		if err == nil {
			_ = connection.Close()
			return
		}
		<-ticker.C
	}
	script.Fatalf("no process listens at %s", path)
}

// exitsWith runs a program that must exit with a status.
func exitsWith(script *testscript.TestScript, negated bool, arguments []string) {
	if negated || len(arguments) < 2 {
		script.Fatalf("usage: status N PROGRAM ARGUMENT...")
	}
	err := script.Exec(arguments[1], arguments[2:]...)
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != arguments[0] {
		script.Fatalf("%v ended with %v, want exit status %s", arguments[1:], err, arguments[0])
	}
}

// fixtureDirectory has the images and keys that containers/image tests itself with.
const fixtureDirectory = "../../policy/signature/testdata/containers-image"
