package conf_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/conf"
)

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	const written = `[policy]
system = "policy.json"
systen = "/etc/containers/policy.json"
directory = 7
[enforce]
mode = "warn"
decision_timeout = "2s"
[enforce.namespaces]
"../etc" = "audit"
prod = true
[evidence]
max_size = "12"
[polcy]
system = "/x"
`
	_, err := conf.Parse("config.toml", []byte(written))
	want := []string{
		`config.toml:2:1: policy.system is "policy.json"; it must be an absolute path`,
		`config.toml:3:1: unknown key policy.systen; remove or correct it; known keys: cluster, directory, system`,
		`config.toml:4:1: policy.directory is an integer; it must be a string: put it in quotes`,
		`config.toml:6:1: enforce.mode: "warn" is not known; use "enforce" or "audit"`,
		`config.toml:7:1: enforce.decision_timeout is 2s; it must be between 10ms and 1.5s because containerd waits 2s ` +
			`and creates containers one after the other`,
		`config.toml:9:1: enforce.namespaces: "../etc" is not a valid namespace of Kubernetes; write lower-case letters, ` +
			`digits and dashes, at most 63`,
		`config.toml:10:1: enforce.namespaces.prod is a boolean; it must be a string: put it in quotes`,
		`config.toml:12:1: evidence.max_size: "12" is not a size; write a whole number and a unit, like "512MiB" or "1GiB"`,
		`config.toml:13:2: unknown key polcy; remove or correct it; known keys: audit, bundles, ` +
			`containerd, cri_proxy, enforce, evidence, listen, log, policy, pull, registry, tracing`,
	}
	if err == nil {
		t.Fatal("there is no error")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	var problems conf.Problems
	if !errors.As(err, &problems) || len(problems) != len(want) {
		t.Errorf("the error is a %T, want %d problems", err, len(want))
	}
}

func TestOneProblem(t *testing.T) {
	tests := map[string]struct{ line, with, want string }{
		"no TOML": {`mode = "enforce"`, `mode = enforce`, "; see https://toml.io"},
		"a key twice": {
			`mode = "enforce"`, "mode = \"enforce\"\nmode = \"audit\"", "is already defined; see https://toml.io",
		},
		"a table in place of a value": {
			`system = "/etc/containers/policy.json"`, `system = {}`, "policy.system is a table",
		},
		"an array in place of a value": {`level = "info"`, `level = ["info"]`, "log.level is an array"},
		"a date in place of a value": {
			`level = "info"`, `level = 2026-11-22`, "log.level is a date or time",
		},
		"a float in place of a value": {`level = "info"`, `level = 1.5`, "log.level is a float"},
		"a value in place of a table": {`[log]`, "log = \"debug\"\n[log2]", "unknown key"},
		"an empty system policy": {
			`system = "/etc/containers/policy.json"`, `system = ""`, `policy.system is ""; it must be an absolute`,
		},
		"a relative policy directory": {
			`directory = "/etc/countersign/policies"`, `directory = "policies"`, "policy.directory is",
		},
		"a zero byte in a path": {
			`directory = "/etc/countersign/policies"`, `directory = "/etc\u0000"`, "policy.directory is",
		},
		"no evidence directory": {
			`directory = "/var/lib/countersign/evidence"`, `directory = ""`, "evidence.directory is",
		},
		"a small store": {
			`max_size = "1GiB"`, `max_size = "1023KiB"`, "evidence.max_size is 1023KiB; it must be at least 1MiB",
		},
		"a small audit file": {
			`max_size = "100MiB"`, `max_size = "1KiB"`, "audit.max_size is 1KiB; it must be at least 1MiB",
		},
		"a number in quotes": {
			`max_files = 5`, `max_files = "5"`, "audit.max_files is a string; it must be a whole number",
		},
		"less than no rotated file": {
			`max_files = 5`, `max_files = -1`, "audit.max_files is -1; it must be between 0 and 100",
		},
		"too many rotated files": {`max_files = 5`, `max_files = 101`, "audit.max_files is 101; it must be"},
		"an endpoint of traces without a scheme": {
			`endpoint = ""`, `endpoint = "collector:4318"`,
			`tracing.endpoint is "collector:4318"; it must be a URL with the scheme http or https`,
		},
		"an endpoint of traces of another scheme": {
			`endpoint = ""`, `endpoint = "grpc://collector:4317"`, "it must be a URL with the scheme http or https",
		},
		"an endpoint of traces with a password": {
			`endpoint = ""`, `endpoint = "https://user:secret@collector:4318"`,
			"tracing.endpoint has credentials, a query or a fragment; it must have none: set headers in",
		},
		"an unknown protocol of traces": {
			`protocol = "http/protobuf"`, `protocol = "http/json"`,
			`tracing.protocol: "http/json" is not known; use "http/protobuf" or "grpc"`,
		},
		"a ratio above one": {
			`sample_ratio = 1.0`, `sample_ratio = 2`, "tracing.sample_ratio is 2; it must be between 0 and 1",
		},
		"a negative ratio": {`sample_ratio = 1.0`, `sample_ratio = -0.5`, "tracing.sample_ratio is -0.5; it must be"},
		"a ratio that is no number": {
			`sample_ratio = 1.0`, `sample_ratio = nan`, "tracing.sample_ratio is NaN; it must be between 0 and 1",
		},
		"a ratio in quotes": {
			`sample_ratio = 1.0`, `sample_ratio = "1"`, "tracing.sample_ratio is a string; it must be a number, without quotes",
		},
		"an audit file in no folder": {
			`file = ""`, `file = "audit.log"`, `audit.file is "audit.log"; it must be an absolute path`,
		},
		"a negative store":              {`max_size = "1GiB"`, `max_size = "-1GiB"`, "is not a size"},
		"a store of more than there is": {`max_size = "1GiB"`, `max_size = "9999999TiB"`, "is not a size"},
		"a duration without a unit": {
			`decision_timeout = "250ms"`, `decision_timeout = "250"`,
			`enforce.decision_timeout: "250" is not a duration; write a number and a unit`,
		},
		"too short a time to answer": {
			`decision_timeout = "250ms"`, `decision_timeout = "9ms"`,
			"enforce.decision_timeout is 9ms; it must be between 10ms and 1.5s",
		},
		"too long a time for a pull": {
			`timeout = "8s"`, `timeout = "10s"`, "pull.timeout is 10s; it must be between 100ms and 9s",
		},
		"too short a time for a pull": {`timeout = "8s"`, `timeout = "99ms"`, "pull.timeout is 99ms; it must be"},
		"an unknown way to go on without the daemon": {
			`on_daemon_unavailable = "deny"`, `on_daemon_unavailable = "ask"`,
			`pull.on_daemon_unavailable: "ask" is not known; use "deny" or "allow"`,
		},
		"credential providers without their programs": {
			`credential_provider_config = ""`, `credential_provider_config = "/etc/providers.yaml"`,
			`set both, as the kubelet has them, or neither`,
		},
		"programs of credential providers without their configuration": {
			`credential_provider_directory = ""`, `credential_provider_directory = "/opt/providers"`,
			`set both, as the kubelet has them, or neither`,
		},
		"an unknown level": {
			`level = "info"`, `level = "INFO"`,
			`log.level: "INFO" is not known; use "debug" or "info" or "warn" or "error"`,
		},
		"a boolean in quotes": {
			`insecure_remote_snapshotters = false`, `insecure_remote_snapshotters = "true"`,
			`enforce.insecure_remote_snapshotters is a string; it must be true or false, without quotes`,
		},
		"an unknown format": {
			`format = "json"`, `format = "logfmt"`, `log.format: "logfmt" is not known; use "json" or "text"`,
		},
		"an unknown identity": {
			`identity = "annotation"`, `identity = "none"`,
			`bundles.identity: "none" is not known; use "annotation" or "digest"`,
		},
		"metrics for the network": {
			`metrics = "127.0.0.1:9470"`, `metrics = "0.0.0.0:9470"`, "it must be a loopback address",
		},
		"metrics on a name": {
			`metrics = "127.0.0.1:9470"`, `metrics = "node.example:9470"`, "it must be a loopback address",
		},
		"metrics on all addresses": {
			`metrics = "127.0.0.1:9470"`, `metrics = ":9470"`, "it must be a loopback address",
		},
		"metrics without a port": {
			`metrics = "127.0.0.1:9470"`, `metrics = "127.0.0.1"`, "it must be an address and a port",
		},
		"metrics on a port by name": {
			`metrics = "127.0.0.1:9470"`, `metrics = "127.0.0.1:http"`, "its port must be a number",
		},
		"metrics on no port there is": {
			`metrics = "127.0.0.1:9470"`, `metrics = "127.0.0.1:65536"`, "its port must be a number",
		},
		"a relative socket": {
			`address = "/run/containerd/containerd.sock"`, `address = "unix:///run/x.sock"`, "containerd.address is",
		},
		"no socket": {
			`socket = "/run/countersign/countersign.sock"`, `socket = "" #`, "listen.socket is",
		},
		"a cluster policy that is a relative path": {
			`cluster = "/etc/countersign/cluster.json"`, `cluster = "cluster.json"`, "policy.cluster is",
		},
		"a cluster policy that is the system policy": {
			`cluster = "/etc/countersign/cluster.json"`, `cluster = "/etc/containers/./policy.json"`,
			"and so is policy.system",
		},
		"a cluster policy that is a namespace's": {
			`cluster = "/etc/countersign/cluster.json"`, `cluster = "/etc/countersign/policies/cluster.json"`,
			"which is in policy.directory",
		},
		"an image service that is a relative path": {`socket = ""`, `socket = "cri.sock"`, "cri_proxy.socket is"},
		"an image service at containerd's socket": {
			`socket = ""`, `socket = "/run/containerd/containerd.sock"`, "and so is containerd.address",
		},
		"a socket's path that is too long": {
			`socket = "/run/countersign/countersign.sock"`, `socket = "/` + strings.Repeat("x", 107) + `"`,
			"listen.socket has 108 bytes; the maximum for the path of a unix socket is 107",
		},
		"no namespace of containerd": {
			`namespace = "k8s.io"`, `namespace = "k8s io"`, `containerd.namespace is "k8s io"`,
		},
		"an exception that is not an exception": {
			`[enforce.namespaces]`, "[enforce.namespaces]\nprod = \"off\"",
			`enforce.namespaces.prod: "off" is not known`,
		},
		"an exception for a bad namespace": {
			`[bundles.namespaces]`, "[bundles.namespaces]\nProd = \"digest\"", `"Prod" is not a valid namespace`,
		},
		"a prefix of signature repositories that is none": {
			`[registry.signature_repositories]`, "[registry.signature_repositories]\n\"library\" = \"signatures.example/a\"",
			`"library" is not a prefix of repositories`,
		},
		"a prefix with a slash at its end": {
			`[registry.signature_repositories]`,
			"[registry.signature_repositories]\n\"registry.example/\" = \"signatures.example/a\"",
			`"registry.example/" is not a prefix of repositories`,
		},
		"a signature repository with a tag": {
			`[registry.signature_repositories]`,
			"[registry.signature_repositories]\n\"registry.example\" = \"signatures.example/a:v1\"",
			`"signatures.example/a:v1" is not a repository`,
		},
		"a signature repository that is a URL": {
			`[registry.signature_repositories]`,
			"[registry.signature_repositories]\n\"registry.example\" = \"https://signatures.example/a\"",
			`"https://signatures.example/a" is not a repository`,
		},
		"several tables of one name": {`[log]`, `[[log]]`, "log is an array; it must be a table: [log]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			written := set(t, test.line, test.with)
			config, err := conf.Parse("config.toml", []byte(written))
			if err == nil {
				t.Fatal("there is no error")
			}
			if config != nil {
				t.Error("there is a configuration as well as an error")
			}
			before, _, _ := strings.Cut(written, test.with)
			first := 1 + strings.Count(before, "\n")
			found(t, err, test.want, first, first+strings.Count(test.with, "\n"))
		})
	}
}

// found checks the text of the first problem, and that its line is one of these.
func found(t *testing.T, err error, want string, first, last int) {
	t.Helper()
	var problems conf.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("the error is a %T", err)
	}
	if !strings.Contains(problems[0].Text, want) {
		t.Errorf("%q does not say %q", problems[0].Text, want)
	}
	if at := problems[0].Line; at < first || at > last {
		t.Errorf("the problem is reported in line %d, but is in lines %d to %d", at, first, last)
	}
}

func TestProblemsNameTheColumn(t *testing.T) {
	const timeout = "; it must be between 10ms and 1.5s because"
	tests := map[string]struct{ written, want string }{
		"an indented key":          {"[enforce]\n  mode = \"off\"\n", `config.toml:2:3: enforce.mode: "off"`},
		"the last part of a name":  {"enforce.mode = \"off\"", `config.toml:1:9: enforce.mode: "off"`},
		"a quoted part of a name":  {`enforce."mode" = "off"`, `config.toml:1:9: enforce.mode: "off"`},
		"a key of an inline table": {`enforce = { mode = "off" }`, `config.toml:1:13: enforce.mode: "off"`},
		"two of an inline table": {
			`enforce = { mode = "off", decision_timeout = "2s" }`,
			"config.toml:1:27: enforce.decision_timeout is 2s" + timeout,
		},
		"a header":               {"\n [polcy]\n", "config.toml:2:3: unknown key polcy"},
		"a value that is absent": {"[policy]\nsystem =\n", "config.toml:2:9: "},
		"a string without end":   {"[policy]\nsystem = \"/etc", "config.toml:2:14: "},
		"columns count bytes":    {`enforce = { "é" = "", mode = "off" }`, "config.toml:1:24: enforce.mode"},
		"a duration is one problem, its limits are not another": {
			"[pull]\ntimeout = \"8\"\n[log]\nx = 1\n",
			"config.toml:2:1: pull.timeout: \"8\" is not a duration; write a number and a unit, like \"250ms\"\nconfig.toml:4:1",
		},
		"a key after a tab": {"[enforce]\n\tmode = \"off\"\n", "config.toml:2:2: enforce.mode"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := conf.Parse("config.toml", []byte(test.written))
			if err == nil || !strings.Contains("\n"+err.Error(), "\n"+test.want) {
				t.Errorf("the error is %v, want %s", err, test.want)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]conf.Size{
		"0B": 0, "1B": 1, "1023B": 1023, "1KiB": conf.KiB, "1025B": 1025, "3MiB": 3 * conf.MiB, "1GiB": conf.GiB,
		"2TiB": 2 * conf.TiB, "8388607TiB": 8388607 * conf.TiB,
	} {
		var got conf.Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != text {
			t.Errorf("%s is %d, %v and written %s; want %d", text, got, err, got, want)
		}
	}
	for _, text := range []string{"", "1", "B", "GiB", "1.5GiB", "+1GiB", "1GB", "1gib", "8388608TiB", "1 2GiB", "1GiB "} {
		if err := new(conf.Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for a size", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(string(file(f, "config.toml")))
	f.Add("[policy]\nsysten = 1\n[[log]]\n")
	f.Add("enforce.namespaces = { a = \"audit\", \"b.c\" = { d = 1 } }\n")
	f.Add("a.b.c = [{x = 1}, [2]]\n[a]\n")
	f.Add("listen = { metrics = \"[::1%lo]:1\" }")
	f.Fuzz(func(t *testing.T, written string) {
		config, err := conf.Parse("config.toml", []byte(written))
		if err == nil {
			if again, err := conf.Parse("config.toml", []byte(written)); err != nil || !cmp.Equal(config, again) {
				t.Errorf("read again it is %+v, %v, and was %+v", again, err, config)
			}
			return
		}
		var problems conf.Problems
		if config != nil || !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("%v, %v: want problems and no configuration", config, err)
		}
		lines := strings.Split(written, "\n")
		for _, problem := range problems {
			if problem.Line < 1 || problem.Line > len(lines) || strings.Contains(problem.Error(), "\n") {
				t.Fatalf("%q: want one line, about one of %d", problem.Error(), len(lines))
			}
			if length := len(lines[problem.Line-1]); problem.Column < 1 || problem.Column > length+1 {
				t.Errorf("%q: the line has %d bytes", problem.Error(), length)
			}
		}
	})
}

func ExampleParse() {
	_, err := conf.Parse("config.toml", []byte("[enforce]\nmode = \"warn\"\n[policy]\nanswer = \"1s\"\n"))
	fmt.Println(err)
	// Output:
	// config.toml:2:1: enforce.mode: "warn" is not known; use "enforce" or "audit"
	// config.toml:4:1: unknown key policy.answer; remove or correct it; known keys: cluster, directory, system
}
