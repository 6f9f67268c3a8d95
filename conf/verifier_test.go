package conf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/conf"
)

func TestTheImageVerifierReadsItsPart(t *testing.T) {
	standard := conf.Verifier{
		Socket: conf.Default().Listen.Socket, Timeout: 8 * time.Second, OnDaemonUnavailable: conf.DenyPulls,
	}
	set := func(change func(*conf.Verifier)) conf.Verifier {
		changed := standard
		change(&changed)
		return changed
	}
	short := set(func(v *conf.Verifier) { v.Timeout = 3 * time.Second })
	for name, test := range map[string]struct {
		text string
		want conf.Verifier
		// problem is in the error, with its line and column.
		problem string
	}{
		"nothing":                          {"", standard, ""},
		"nothing of its own":               {"[log]\nlevel = \"debug\" # pull.timeout = \"1s\"\n", standard, ""},
		"the file that countersign brings": {string(file(t, "config.toml")), standard, ""},
		"all of it": {
			"[pull]\ntimeout = \"3s\"\non_daemon_unavailable = 'allow'\n[listen]\nsocket = \"/run/x.sock\"",
			conf.Verifier{Socket: "/run/x.sock", Timeout: 3 * time.Second, OnDaemonUnavailable: conf.AllowPulls},
			"",
		},
		"dotted keys":         {"pull.timeout = '3s'", short, ""},
		"a table in one line": {"pull = { timeout = \"3s\" }", short, ""},
		"escapes":             {"[pull]\ntimeout = \"\\u0033s\"", short, ""},
		"a string of many lines": {
			"[policy]\nsystem = \"\"\"\n[pull]\ntimeout = '1s'\"\"\"\n[pull]\ntimeout = '3s'", short, "",
		},
		"an unknown key elsewhere":    {"[polcy]\nsystem = 1\n[pull]\ntimeout = '3s'", short, ""},
		"a wrong value elsewhere":     {"[evidence]\nmax_size = 'big'\n[pull]\ntimeout = '3s'", short, ""},
		"an unknown key in its table": {"[pull]\ntimeot = '1s'\ntimeout = '3s'", short, ""},
		"too long a time":             {"\n[pull]\ntimeout = '10s'", conf.Verifier{}, ":3:1: pull.timeout is 10s; it must"},
		"too short a time":            {"pull.timeout = '99ms'", conf.Verifier{}, ":1:6: pull.timeout is 99ms"},
		"a time without a unit":       {"pull.timeout = '8'", conf.Verifier{}, `:1:6: pull.timeout: "8" is not a duration`},
		"a time that is a number":     {"pull.timeout = 8", conf.Verifier{}, ":1:6: pull.timeout is an integer"},
		"a table that is none":        {"pull = 'x'", conf.Verifier{}, ":1:1: pull is a string; it must be a table"},
		"another way to do without": {
			"pull.on_daemon_unavailable = 'Allow'", conf.Verifier{}, `:1:6: pull.on_daemon_unavailable: "Allow" is not known`,
		},
		"a relative socket": {"listen.socket = 'x.sock'", conf.Verifier{}, ":1:8: listen.socket is"},
		"a socket with too long a path": {
			"listen.socket = '/" + strings.Repeat("x", 107) + "'", conf.Verifier{}, "108 bytes",
		},
		"no TOML": {"[pull\n", conf.Verifier{}, ":1:6: "},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := conf.ReadVerifier(path)
			if got != test.want || (err == nil) != (test.problem == "") {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
			if err != nil && !strings.Contains(err.Error(), test.problem) {
				t.Errorf("the problem is %v; want %s", err, test.problem)
			}
		})
	}
	if _, err := conf.ReadVerifier(filepath.Join(t.TempDir(), "absent.toml")); err == nil {
		t.Error("a file that was named and is absent is no problem")
	}
}

// FuzzTheImageVerifierReadsTheSame: the verifier and the daemon read the same values from a configuration.
func FuzzTheImageVerifierReadsTheSame(f *testing.F) {
	f.Add(string(file(f, "config.toml")))
	for _, seed := range []string{
		"pull.timeout = '3s'\r\n[listen]\r\nsocket = \"/x\" # \"\r\n",
		"[policy]\nsystem = \"\"\"/\n[pull]\ntimeout = '3s'\n\"\"\"",
		"[enforce.namespaces]\n\"pull\" = \"audit\" # 'x\n[\"pull\"]\n'timeout' = \"3s\"",
		"[policy]\nsystem = '/\\'\n[pull]\non_daemon_unavailable = 'allow'\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := conf.Read(path)
		if err != nil {
			return
		}
		want := conf.Verifier{
			Socket: config.Listen.Socket, Timeout: config.Pull.Timeout, OnDaemonUnavailable: config.Pull.OnDaemonUnavailable,
		}
		if got, err := conf.ReadVerifier(path); err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v:\n%s", got, err, want, text)
		}
	})
}
