package pull_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/conf/pull"
)

func TestSettingsAreRead(t *testing.T) {
	const elsewhere = "/run/x.sock"
	standard := pull.Default()
	set := func(socket string, timeout time.Duration, allow bool) pull.Settings {
		return pull.Settings{Socket: socket, Timeout: timeout, AllowWithoutDaemon: allow}
	}
	for name, test := range map[string]struct {
		text string
		want pull.Settings
	}{
		"nothing":          {"", standard},
		"nothing of ours":  {"# a comment\n\n[log]\nlevel = \"debug\" # pull.timeout = \"1s\"\n", standard},
		"under headers":    {"[pull]\ntimeout = \"3s\"\n[listen]\nsocket = \"/run/x.sock\"", set(elsewhere, 3e9, false)},
		"with dotted keys": {"pull.timeout = \"3s\"\nlisten . socket='/run/x.sock'", set(elsewhere, 3e9, false)},
		"with blanks and line ends of Windows": {
			"\t[ pull ]\t# here\r\n  without_daemon\t= 'allow' # now\r\n", set(standard.Socket, standard.Timeout, true),
		},
		"with quoted keys": {"[\"pull\"]\n'timeout' = \"3s\"", set(standard.Socket, 3e9, false)},
		"set to the default": {
			"[pull]\ntimeout = \"8s\"\nwithout_daemon = \"deny\"\n[listen]\nsocket = \"/run/countersign/countersign.sock\"\n",
			standard,
		},
		"the same keys of other tables": {
			"[other]\ntimeout = \"3s\"\n[a.pull]\ntimeout = \"3s\"\n[pull.more]\nwithout_daemon = \"allow\"", standard,
		},
		"keys with the names of ours in quotes": {"'pull.timeout' = \"3s\"\n[\"a.b\"]\npull.timeout = \"3s\"", standard},
		"others with escapes and inline tables": {
			"[policy]\nsystem = \"/a\\\"\\u0020#\"\n[bundles]\nnamespaces = { a = \"}\", b = { c = 'd\\' } } # }\n" +
				"[pull]\ntimeout = \"3s\"",
			set(standard.Socket, 3e9, false),
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := pull.Parse([]byte(test.text)); err != nil || got != test.want {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestWhatIsNotUnderstoodIsNotGuessedAt(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		line int
		want string
	}{
		"an inline table":       {"\npull = { timeout = \"3s\" }", 2, "[pull]"},
		"a value of many lines": {"[policy]\nsystem = \"\"\"\n[pull]\ntimeout = \"3s\"\n\"\"\"", 2, "policy.system"},
		"one with single quotes": {
			"[policy]\nsystem = '''\n[pull]\n'''", 2, "policy.system on one line",
		},
		"an inline table of many lines":    {"a = {\n\"[pull]\" = \"\"}", 1, "write a on one line"},
		"an inline table with a comment":   {"a = { # }\nb = 'c' }", 1, "write a on one line"},
		"an array":                         {"[log]\nlevel = [\n'''\n[pull]\n''']", 2, "log.level"},
		"an array of tables":               {"[[pull]]\n", 1, "[table]"},
		"a header without an end":          {"[pull\n", 1, "[table]"},
		"a header and more":                {"[pull] x = 'y'\n", 1, "[table]"},
		"a header with escapes":            {"[\"p\\u0075ll\"]\n", 1, "[table]"},
		"a key with escapes":               {"\"p\\u0075ll\".timeout = '3s'\n", 1, "plain letters"},
		"a key without a value":            {"[pull]\ntimeout\n", 2, "plain letters"},
		"a setting with escapes":           {"[pull]\ntimeout = \"\\u0033s\"\n", 2, "without backslashes"},
		"a setting of many lines":          {"[pull]\ntimeout = \"\"\"3s\"\"\"\n", 2, "pull.timeout as a plain string"},
		"a setting without quotes":         {"[pull]\ntimeout = 3\n", 2, "pull.timeout as a plain string"},
		"a setting and more":               {"[pull]\ntimeout = \"3s\" \"4s\"\n", 2, "pull.timeout as a plain string"},
		"a setting without an end":         {"[pull]\ntimeout = \"3s\n", 2, "pull.timeout as a plain string"},
		"a setting twice":                  {"pull.timeout = '3s'\n[pull]\ntimeout = '4s'\n", 3, "twice"},
		"too long a time":                  {"pull.timeout = '10s'", 1, "between 100ms and 9s"},
		"too short a time":                 {"pull.timeout = '99ms'", 1, "between 100ms and 9s"},
		"a time without a unit":            {"pull.timeout = '8'", 1, "between 100ms and 9s"},
		"another way to do without daemon": {"pull.without_daemon = 'Allow'", 1, `use "deny" or "allow"`},
		"a relative socket":                {"listen.socket = 'x.sock'", 1, "absolute path"},
		"a socket with too long a path":    {"listen.socket = '/" + strings.Repeat("x", 107) + "'", 1, "107 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pull.Parse([]byte(test.text))
			fault, ok := errors.AsType[*pull.Fault](err)
			if !ok || fault.Line != test.line || !strings.Contains(fault.Problem, test.want) || got != (pull.Settings{}) {
				t.Errorf("got %+v, %v; want a fault in line %d with %q", got, err, test.line, test.want)
			}
		})
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if _, err := pull.Read(path); err == nil {
		t.Error("a file that was named and is absent is no error")
	}
	for name, test := range map[string]struct{ text, want string }{
		"a file":           {"pull.timeout = '3s'", ""},
		"a file at fault":  {"\npull.timeout = 3", path + ":2: write pull.timeout as"},
		"a file too large": {strings.Repeat("#", 1<<20+1), "larger than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := pull.Read(path)
			if test.want == "" && (err != nil || got.Timeout != 3*time.Second) {
				t.Errorf("got %+v, %v", got, err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
	if _, err := pull.Read(filepath.Dir(path)); err == nil {
		t.Error("a directory is no error")
	}
	if _, err := os.Lstat(pull.DefaultPath); err == nil {
		t.Logf("%s exists: what happens without it is not tested", pull.DefaultPath)
		return
	}
	if got, err := pull.Read(""); err != nil || got != pull.Default() {
		t.Errorf("without a file: %+v, %v", got, err)
	}
}
