package daemon

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

// reloading is a daemon's configuration and its file.
type reloading struct {
	*reloader
	output  bytes.Buffer
	changes int
}

func newReloading(t *testing.T, text string) *reloading {
	t.Helper()
	r := &reloading{}
	path := filepath.Join(t.TempDir(), "config.toml")
	config := conf.Default()
	if text != "" {
		r.write(t, path, text)
		var err error
		if config, err = conf.Read(path); err != nil {
			t.Fatal(err)
		}
	}
	level := &slog.LevelVar{}
	r.reloader = &reloader{
		current: newCurrent(config), path: path, level: level, deadline: policy.NewDeadline(time.Second),
		metrics: metrics.New(nil), log: newLogger(config, level, &r.output), changed: func() { r.changes++ },
		reopen: func() {},
	}
	r.started(t.Context(), "countersign (devel)")
	return r
}

func (*reloading) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// says checks that the log and the metrics contain all of these.
func (r *reloading) says(t *testing.T, log string, lines ...string) {
	t.Helper()
	if !strings.Contains(r.output.String(), log) {
		t.Errorf("the log has no %s:\n%s", log, &r.output)
	}
	answer := httptest.NewRecorder()
	r.metrics.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, line := range lines {
		if !strings.Contains(answer.Body.String(), "\n"+line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	r.output.Reset()
}

func TestReloadAppliesSettingsAndNamesThoseThatNeedARestart(t *testing.T) {
	r := newReloading(t, "[enforce.namespaces]\ndev = \"audit\"\nprod = \"enforce\"\n")
	r.says(t, `"mode":"enforce","namespaces_of_other_mode":["dev"]`, `countersign_enforcing{namespace="*"} 1`,
		`countersign_enforcing{namespace="dev"} 0`, `countersign_enforcing{namespace="prod"} 1`,
		"countersign_config_last_reload_successful 1")
	r.write(t, r.path, "[enforce]\nmode = \"audit\"\n[log]\nlevel = \"warn\"\n[bundles]\nidentity = \"digest\"\n"+
		"[listen]\nsocket = \"/run/other\"\n")
	r.reload(t.Context())
	r.says(t, `"applied":["enforce.mode","enforce.namespaces","bundles.identity","log.level"],`+
		`"needs_restart":["listen.socket"]`,
		`countersign_enforcing{namespace="*"} 0`)
	if !r.current.audit("dev") || !r.current.audit("other") || !r.current.noIdentity("dev") ||
		r.level.Level() != slog.LevelWarn ||
		r.current.config().Listen.Socket != conf.Default().Listen.Socket || r.changes != 1 {
		t.Errorf("in force is %+v after %d changes", r.current.config(), r.changes)
	}
}

func TestReloadOfAnInvalidFileChangesNothing(t *testing.T) {
	r := newReloading(t, "[enforce]\nmode = \"audit\"\n")
	running := r.current.config()
	r.write(t, r.path, "[enforce\n")
	r.reload(t.Context())
	r.says(t, `"level":"ERROR","msg":"cannot reload the configuration: the current one stays in force"`,
		"countersign_config_last_reload_successful 0", `countersign_enforcing{namespace="*"} 0`)
	if r.current.config() != running || r.changes != 0 {
		t.Error("another configuration is in force")
	}
	r.write(t, r.path, "[enforce]\nmode = \"audit\"\n")
	r.reload(t.Context())
	r.says(t, `"applied":[],"needs_restart":[]`, "countersign_config_last_reload_successful 1")
}

func TestDefaultsWithoutAFileAreAWarning(t *testing.T) {
	newReloading(t, "").says(t, `"level":"WARN","msg":"no configuration file: using the defaults"`)
	newReloading(t, "[log]\nlevel = \"info\"\n").says(t, `"msg":"starting","version":"countersign `)
}

func TestOnlyAuditsMeansEveryNamespace(t *testing.T) {
	for name, test := range map[string]struct {
		mode, namespace string
		want            bool
	}{
		"audit, and a namespace is audited as well":    {"audit", "audit", true},
		"audit, but one namespace is enforced":         {"audit", "enforce", false},
		"enforce, although each named one is in audit": {"enforce", "audit", false},
		"enforce": {"enforce", "enforce", false},
	} {
		t.Run(name, func(t *testing.T) {
			text := fmt.Sprintf("[enforce]\nmode = '%s'\n[enforce.namespaces]\na = '%s'\n", test.mode, test.namespace)
			if got := newReloading(t, text).current.onlyAudits(); got != test.want {
				t.Errorf("onlyAudits() = %v, want %v", got, test.want)
			}
		})
	}
}
