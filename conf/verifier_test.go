package conf_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/conf/pull"
)

func TestWhatTheImageVerifierDoesNotUnderstandIsAFault(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"its table in one line": {
			"# all in one\npull = { timeout = \"3s\" }\n",
			"config.toml:2: the image verifier reads this file too, and simpler: write the table pull as [pull]",
		},
		"an escape in its setting": {
			"[pull]\ntimeout = \"\\u0033s\"\n",
			"config.toml:2: the image verifier reads this file too, and simpler: write pull.timeout as a plain string",
		},
		"a string of many lines elsewhere": {
			"[policy]\nsystem = \"\"\"/etc/containers/policy.json\"\"\"\n",
			"config.toml:2: the image verifier reads this file too, and simpler: write policy.system on one line",
		},
		"an escape elsewhere": {"[policy]\nsystem = \"/etc/\\u0041\"\n", ""},
		"a table in one line elsewhere": {
			"bundles = { identity = \"digest\", namespaces = { prod = \"annotation\" } }\n", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := conf.Parse("config.toml", []byte(test.text))
			if test.want == "" && err != nil {
				t.Errorf("got %v, want none", err)
			}
			if test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// FuzzTheImageVerifierReadsTheSame: a text that is a configuration is read by both parsers in the same way, or the
// simpler one says that it does not understand. It never takes it for something else.
func FuzzTheImageVerifierReadsTheSame(f *testing.F) {
	f.Add(string(file(f, "config.toml")))
	for _, seed := range []string{
		"pull.timeout = '3s'\r\n[listen]\r\nsocket = \"/x\" # \"\r\n",
		"[policy]\nsystem = \"\"\"/\n[pull]\ntimeout = '3s'\n\"\"\"",
		"[enforce.namespaces]\n\"pull\" = \"audit\" # 'x\n'timeout' = \"audit\"\n[\"pull\"]\n'timeout' = \"3s\"",
		"bundles = { identity = \"digest\",\n # }\n namespaces = { \"}\" = \"annotation\" } }\n",
		"[policy]\nsystem = '/\\'\n[pull]\nwithout_daemon = 'allow'\n",
		"\ufeff[pull]\ntimeout = \"3s\"",
		"[pull]\ntimeout = \"3s\"\n[pull.x]\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		config, err := conf.Parse("config.toml", []byte(text))
		if err != nil {
			if strings.Contains(err.Error(), "for something else") {
				t.Errorf("%v:\n%s", err, text)
			}
			return
		}
		want := pull.Settings{
			Socket: config.Listen.Socket, Timeout: config.Pull.Timeout,
			AllowWithoutDaemon: config.Pull.WithoutDaemon == conf.WithoutDaemonAllow,
		}
		if got, err := pull.Parse([]byte(text)); err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v:\n%s", got, err, want, text)
		}
	})
}
