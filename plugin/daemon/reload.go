package daemon

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync/atomic"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

// current is the current configuration, which a reload replaces. Settings that can be reloaded are read from it each
// time.
type current struct{ pointer atomic.Pointer[conf.Config] }

func newCurrent(config *conf.Config) *current {
	c := &current{}
	c.pointer.Store(config)
	return c
}

func (c *current) config() *conf.Config { return c.pointer.Load() }

// audit reports whether a namespace is in audit mode.
func (c *current) audit(namespace string) bool { return c.config().Mode(namespace) == conf.ModeAudit }

// onlyAudits reports whether every namespace is in audit mode.
func (c *current) onlyAudits() bool {
	return !c.config().ModeAnywhere(conf.ModeEnforce)
}

// remoteSnapshotters reports whether containers are evaluated whose files are fetched when they are read.
func (c *current) remoteSnapshotters() bool { return c.config().Enforce.InsecureRemoteSnapshotters }

// noIdentity reports whether a namespace accepts signatures that name no repository.
func (c *current) noIdentity(namespace string) bool {
	return c.config().Identity(namespace) == conf.IdentityDigest
}

// auditAt is like audit; for no namespace it reports whether any is in audit mode.
func (c *current) auditAt(namespace string) bool {
	if namespace == "" {
		return c.config().ModeAnywhere(conf.ModeAudit)
	}
	return c.audit(namespace)
}

// noIdentityAt is like noIdentity; for no namespace it reports whether any accepts such signatures.
func (c *current) noIdentityAt(namespace string) bool {
	if namespace == "" {
		return c.config().IdentityAnywhere(conf.IdentityDigest)
	}
	return c.noIdentity(namespace)
}

// reloader replaces the current configuration by the one in the file, as far as that is possible while the daemon runs:
// see [conf.Reload].
type reloader struct {
	current *current
	// path is the value of --config.
	path     string
	level    *slog.LevelVar
	deadline *policy.Deadline
	metrics  *metrics.Metrics
	log      *slog.Logger
	// changed is called after a reload that changed something.
	changed func()
	// reopen opens the audit log file again, which another program may have rotated.
	reopen func()
}

// run reloads on each signal, until the context ends.
func (r *reloader) run(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			r.reload(ctx)
			r.reopen()
		}
	}
}

func (r *reloader) reload(ctx context.Context) {
	next, applied, restart, err := conf.Reload(r.current.config(), r.path)
	r.metrics.ConfigRead(err == nil)
	if err != nil {
		r.log.ErrorContext(ctx, "cannot reload the configuration: the current one stays in force", "error", err)
		return
	}
	r.current.pointer.Store(next)
	r.apply(next)
	if len(applied) > 0 {
		r.changed()
	}
	level := slog.LevelInfo
	if len(restart) > 0 {
		level = slog.LevelWarn
	}
	r.log.Log(ctx, level, "configuration reloaded", "file", next.File, "applied", nonNil(applied),
		"needs_restart", nonNil(restart))
}

// apply sets values in parts that do not read the current configuration each time.
func (r *reloader) apply(config *conf.Config) {
	r.level.Set(config.Log.Level.Level())
	r.deadline.Set(config.Enforce.DecisionTimeout)
	named := make(map[string]bool, len(config.Enforce.Namespaces))
	for namespace, mode := range config.Enforce.Namespaces {
		named[namespace] = mode != conf.ModeAudit
	}
	r.metrics.Enforcing(config.Enforce.Mode != conf.ModeAudit, named)
}

// started logs the configuration at the start. It warns about defaults that may be unintended: a node in audit mode
// whose file is missing enforces.
func (r *reloader) started(ctx context.Context, version string) {
	config := r.current.config()
	r.metrics.ConfigRead(true)
	r.apply(config)
	if config.File == "" {
		r.log.WarnContext(ctx, "no configuration file: using the defaults", "file", conf.DefaultPath)
	}
	var exceptions []string
	for _, namespace := range slices.Sorted(maps.Keys(config.Enforce.Namespaces)) {
		if mode := config.Enforce.Namespaces[namespace]; mode != config.Enforce.Mode {
			exceptions = append(exceptions, namespace)
		}
	}
	r.log.InfoContext(ctx, "starting", "version", version, "file", config.File,
		"mode", config.Enforce.Mode.String(), "namespaces_of_other_mode", nonNil(exceptions))
}

// nonNil returns an empty list for nil, which would be logged as null.
func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
