package conf_test

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/conf"
)

// file returns one of the files that are installed.
func file(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := fs.ReadFile(conf.Files(), name)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// set returns config.toml with one line replaced.
func set(tb testing.TB, line, with string) string {
	tb.Helper()
	whole := string(file(tb, "config.toml"))
	if !strings.Contains(whole, "\n"+line+"\n") {
		tb.Fatalf("config.toml has no line %q", line)
	}
	return strings.Replace(whole, "\n"+line+"\n", "\n"+with+"\n", 1)
}

func TestTheInstalledConfigurationIsTheDefault(t *testing.T) {
	got, err := conf.Parse("config.toml", file(t, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(conf.Default(), got); diff != "" {
		t.Errorf("config.toml differs from Default (-Default +config.toml):\n%s", diff)
	}
}

// TestTheInstalledConfigurationExplainsEveryKey requires for each key of the struct a line with the key, and a comment
// above it.
func TestTheInstalledConfigurationExplainsEveryKey(t *testing.T) {
	lines := strings.Split(string(file(t, "config.toml")), "\n")
	var walk func(table string, of reflect.Type)
	walk = func(table string, of reflect.Type) {
		for field := range of.Fields() {
			key := field.Tag.Get("toml")
			if key == "-" {
				continue // It is not a key.
			}
			if key == "" {
				t.Errorf("%s.%s has no toml tag", of, field.Name)
			}
			switch field.Type.Kind() {
			case reflect.Struct:
				walk(key, field.Type)
			case reflect.Map:
				explained(t, lines, "", "["+table+"."+key+"]")
			default:
				explained(t, lines, "["+table+"]", key+" = ")
			}
		}
	}
	walk("", reflect.TypeFor[conf.Config]())
}

// explained checks that a line begins with this text, below the header of its table, and that the line above is a
// comment.
func explained(t *testing.T, lines []string, header, begin string) {
	t.Helper()
	within := header == ""
	for i, line := range lines {
		if header != "" && strings.HasPrefix(line, "[") {
			within = line == header
		}
		if !within || !strings.HasPrefix(line, begin) {
			continue
		}
		if i == 0 || !strings.HasPrefix(lines[i-1], "# ") {
			t.Errorf("config.toml:%d: nothing explains %s", i+1, line)
		}
		return
	}
	t.Errorf("config.toml has no line %q under %q", begin, header)
}

func TestAnEndpointOfGRPCHasNoPath(t *testing.T) {
	const written = "tracing = { protocol = \"grpc\", endpoint = \"https://collector/v1/traces\" }"
	const want = `tracing.endpoint is "https://collector/v1/traces"; with the protocol grpc it must have no path`
	if _, err := conf.Parse("config.toml", []byte(written)); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

func TestAConfigurationIsRead(t *testing.T) {
	const written = `
enforce.decision_timeout = "1s"
[enforce.namespaces]
kube-system = "audit"
prod = "enforce"
[policy]
directory = ""
[evidence]
directory = "/data/evidence"
max_size = "512 MiB"
[pull]
timeout = "3s"
on_daemon_unavailable = "allow"
[bundles]
identity = "digest"
namespaces = { prod = "annotation" }
[listen]
metrics = "[::1]:0"
[log]
level = "debug"
format = "text"
[audit]
file = "/var/log/countersign/audit.log"
max_size = "1GiB"
max_files = 0
[tracing]
endpoint = "https://collector.example:4317"
protocol = "grpc"
sample_ratio = 0.25
`
	got, err := conf.Parse("config.toml", []byte(written))
	if err != nil {
		t.Fatal(err)
	}
	want := conf.Default()
	want.Enforce.DecisionTimeout = time.Second
	want.Enforce.Namespaces = map[string]conf.Mode{"kube-system": conf.ModeAudit, "prod": conf.ModeEnforce}
	want.Policy.Directory = ""
	want.Evidence = conf.Evidence{Directory: "/data/evidence", MaxSize: 512 * conf.MiB}
	want.Pull = conf.Pull{Timeout: 3 * time.Second, OnDaemonUnavailable: conf.AllowPulls}
	want.Bundles.Identity = conf.IdentityDigest
	want.Bundles.Namespaces = map[string]conf.Identity{"prod": conf.IdentityAnnotation}
	want.Listen.Metrics = "[::1]:0"
	want.Audit = conf.Audit{File: "/var/log/countersign/audit.log", MaxSize: conf.GiB}
	want.Tracing = conf.Tracing{
		Endpoint: "https://collector.example:4317", Protocol: conf.TracingGRPC, SampleRatio: 0.25,
	}
	want.Log = conf.Log{Level: conf.Level(slog.LevelDebug), Format: conf.FormatText}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.StateFile() != "/data/policies-seen" {
		t.Errorf("the state file is %s, want it next to the evidence", got.StateFile())
	}
	if got.ClusterStateFile() != "/data/cluster-policy-seen" {
		t.Errorf("the state file of the cluster policy is %s, want it next to the evidence", got.ClusterStateFile())
	}
}

func TestExceptionsAreByNamespace(t *testing.T) {
	config := conf.Default()
	config.Enforce.Namespaces = map[string]conf.Mode{"kube-system": conf.ModeAudit}
	config.Bundles.Namespaces = map[string]conf.Identity{"legacy": conf.IdentityDigest}
	modes := map[string]conf.Mode{"kube-system": conf.ModeAudit, "prod": conf.ModeEnforce, "": conf.ModeEnforce}
	for namespace, want := range modes {
		if got := config.Mode(namespace); got != want {
			t.Errorf("the mode of %q is %s, want %s", namespace, got, want)
		}
	}
	identities := map[string]conf.Identity{"legacy": conf.IdentityDigest, "prod": conf.IdentityAnnotation}
	for namespace, want := range identities {
		if got := config.Identity(namespace); got != want {
			t.Errorf("the identity of %q is %s, want %s", namespace, got, want)
		}
	}
}

func TestModeAnywhereAndIdentityAnywhere(t *testing.T) {
	config := conf.Default()
	if config.ModeAnywhere(conf.ModeAudit) || config.IdentityAnywhere(conf.IdentityDigest) {
		t.Error("by default some namespace is lax")
	}
	config.Enforce.Namespaces = map[string]conf.Mode{"dev": conf.ModeEnforce, "kube-system": conf.ModeAudit}
	config.Bundles.Namespaces = map[string]conf.Identity{"legacy": conf.IdentityDigest, "prod": conf.IdentityAnnotation}
	if !config.ModeAnywhere(conf.ModeAudit) || !config.IdentityAnywhere(conf.IdentityDigest) {
		t.Error("an exception for one namespace does not count")
	}
	config = &conf.Config{
		Enforce: conf.Enforce{Mode: conf.ModeAudit}, Bundles: conf.Bundles{Identity: conf.IdentityDigest},
	}
	if !config.ModeAnywhere(conf.ModeAudit) || !config.IdentityAnywhere(conf.IdentityDigest) {
		t.Error("what holds for all does not count")
	}
}

func TestTheZeroConfigurationEnforces(t *testing.T) {
	var config conf.Config
	if config.Mode("prod") != conf.ModeEnforce || config.Identity("prod") != conf.IdentityAnnotation {
		t.Error("the zero configuration does not enforce")
	}
}

func TestRead(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "config.toml")
	if _, err := conf.Read(path); err == nil || !strings.Contains(err.Error(), path+": no such file or directory") {
		t.Errorf("a named file that does not exist: %v, want an error that names it", err)
	}
	if err := os.WriteFile(path, []byte("[log]\nlevel = \"warn\"\nleevl = \"info\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := conf.Read(path); err == nil || !strings.HasPrefix(err.Error(), path+":3:1: unknown key log.leevl;") {
		t.Errorf("a file with an unknown key: %v, want an error with its path, line and column", err)
	}
	if _, err := conf.Read(directory); err == nil {
		t.Error("a directory is taken for a configuration")
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("#", 1<<20+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := conf.Read(path); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("a huge file: %v, want an error that says so", err)
	}
	if _, err := os.Lstat(conf.DefaultPath); err == nil {
		t.Logf("%s exists: what happens without it is not tested", conf.DefaultPath)
		return
	}
	config, err := conf.Read("")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(conf.Default(), config); diff != "" {
		t.Errorf("without a file:\n%s", diff)
	}
	if _, err := conf.Read(conf.DefaultPath); err == nil {
		t.Error("the default path was named, does not exist, and is no error")
	}
}
