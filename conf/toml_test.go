package conf_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/conf"
)

func TestAWrittenConfigurationIsReadBack(t *testing.T) {
	changed := conf.Default()
	changed.Policy = conf.Policy{System: `/with "quotes" and 'more'/policy.json`, Directory: ""}
	changed.Enforce = conf.Enforce{
		Mode: conf.ModeAudit, DecisionTimeout: 1500 * time.Millisecond, InsecureRemoteSnapshotters: true,
		Namespaces: map[string]conf.Mode{"prod": conf.ModeEnforce, "0-1": conf.ModeAudit},
	}
	changed.Evidence.MaxSize = 1536 * conf.MiB
	changed.Pull.OnDaemonUnavailable = conf.AllowPulls
	changed.Bundles = conf.Bundles{
		Identity: conf.IdentityDigest, Namespaces: map[string]conf.Identity{"prod": conf.IdentityAnnotation},
	}
	changed.Tracing = conf.Tracing{Endpoint: "http://127.0.0.1:4317", Protocol: conf.TracingGRPC, SampleRatio: 0.5}
	changed.Log = conf.Log{Level: conf.Level(slog.LevelDebug), Format: conf.FormatText}
	for name, config := range map[string]*conf.Config{"the defaults": conf.Default(), "other values": changed} {
		t.Run(name, func(t *testing.T) {
			text, err := conf.TOML(config)
			if err != nil {
				t.Fatal(err)
			}
			got, err := conf.Parse("config.toml", []byte(text))
			if err != nil {
				t.Fatalf("%v in:\n%s", err, text)
			}
			if diff := cmp.Diff(config, got); diff != "" {
				t.Error(diff)
			}
			// Every key of the installed file is there, in the same order.
			at := 0
			for line := range strings.Lines(string(file(t, "config.toml"))) {
				key, _, is := strings.Cut(line, " = ")
				if !is || strings.HasPrefix(line, "#") {
					continue
				}
				next := strings.Index(text[at:], key+" = ")
				if next < 0 {
					t.Fatalf("there is no %s, or not in this order:\n%s", key, text)
				}
				at += next
			}
		})
	}
}
