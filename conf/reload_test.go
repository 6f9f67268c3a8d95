package conf_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/conf"
)

func TestAReloadAppliesReloadableKeys(t *testing.T) {
	const before = "[enforce.namespaces]\ndev = \"audit\"\n"
	for name, test := range map[string]struct{ after, applied, restart string }{
		"nothing changed":               {before, "[]", "[]"},
		"a comment changed":             {"# a comment\n" + before, "[]", "[]"},
		"the mode":                      {before + "[enforce]\nmode = \"audit\"\n", "[enforce.mode]", "[]"},
		"a namespace is not named more": {"", "[enforce.namespaces]", "[]"},
		"the level of the log":          {before + "[log]\nlevel = \"warn\"\n", "[log.level]", "[]"},
		"the deadline and the pulls'": {
			before + "[enforce]\ndecision_timeout = \"1s\"\n[pull]\ntimeout = \"3s\"\non_daemon_unavailable = \"allow\"\n",
			"[enforce.decision_timeout pull.timeout pull.on_daemon_unavailable]", "[]",
		},
		"remote snapshotters": {
			before + "[enforce]\ninsecure_remote_snapshotters = true\n", "[enforce.insecure_remote_snapshotters]", "[]",
		},
		"the identity of bundles": {
			before + "[bundles]\nidentity = \"digest\"\n[bundles.namespaces]\nprod = \"annotation\"\n",
			"[bundles.identity bundles.namespaces]", "[]",
		},
		"a directory and a socket": {
			before + "[evidence]\ndirectory = \"/data\"\n[listen]\nsocket = \"/run/s\"\n", "[]",
			"[evidence.directory listen.socket]",
		},
		"some of both": {
			"[containerd]\naddress = \"/run/c\"\n[log]\nlevel = \"debug\"\nformat = \"text\"\n",
			"[enforce.namespaces log.level]", "[containerd.address log.format]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.toml")
			running := read(t, path, before)
			write(t, path, test.after)
			next, applied, restart, err := conf.Reload(running, path)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(applied) != test.applied || fmt.Sprint(restart) != test.restart {
				t.Errorf("applied %v, after a restart %v; want %s and %s", applied, restart, test.applied, test.restart)
			}
			// Applied values are in force, so a second reload changes nothing.
			_, again, waits, err := conf.Reload(next, path)
			if err != nil || len(again) > 0 || fmt.Sprint(waits) != test.restart {
				t.Errorf("the second reload applies %v, and %v after a restart (%v)", again, waits, err)
			}
		})
	}
}

func TestAReloadOfAnInvalidFileChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	running := read(t, path, "[enforce]\nmode = \"audit\"\ndecision_timeout = \"1s\"\n")
	for name, damage := range map[string]func(){
		"it does not parse":    func() { write(t, path, "[enforce") },
		"a value is not known": func() { write(t, path, "[enforce]\nmode = \"off\"\n") },
		"it is deleted":        func() { _ = os.Remove(path) },
	} {
		damage()
		next, _, _, err := conf.Reload(running, path)
		if err == nil || next != nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the configuration is %v, %v", name, next, err)
		}
	}
	if running.Enforce.DecisionTimeout != time.Second || running.Mode("x") != conf.ModeAudit || running.File != path {
		t.Errorf("the running configuration is %+v", running)
	}
}

func read(t *testing.T, path, text string) *conf.Config {
	t.Helper()
	write(t, path, text)
	config, err := conf.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
