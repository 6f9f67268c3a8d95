package main

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

// live is the configuration in force. Whoever may see a new one after a reload asks it each time.
type live struct{ current atomic.Pointer[conf.Config] }

func newLive(config *conf.Config) *live {
	l := &live{}
	l.current.Store(config)
	return l
}

func (l *live) config() *conf.Config { return l.current.Load() }

// audit reports whether a namespace is in audit mode.
func (l *live) audit(namespace string) bool { return l.config().Mode(namespace) == conf.ModeAudit }

// nameless reports whether a signature that names no repository is enough in a namespace.
func (l *live) nameless(namespace string) bool {
	return l.config().Identity(namespace) == conf.IdentityDigest
}

// reloader replaces the configuration in force by the one in the file, as far as that is possible while the daemon
// runs: conf.Reload says how far.
type reloader struct {
	live *live
	// path is the value of --config.
	path     string
	level    *slog.LevelVar
	deadline *policy.Deadline
	metrics  *metrics.Metrics
	log      *slog.Logger
	// changed is called after a reload that changed something.
	changed func()
}

// run reloads whenever it is told to, until the context ends.
func (r *reloader) run(ctx context.Context, told <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
			r.reload(ctx)
		}
	}
}

func (r *reloader) reload(ctx context.Context) {
	next, applied, restart, err := conf.Reload(r.live.config(), r.path)
	r.metrics.ConfigRead(err == nil)
	if err != nil {
		r.log.ErrorContext(ctx, "configuration not reloaded: the running one stays in force", "error", err)
		return
	}
	r.live.current.Store(next)
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

// apply hands out what is not asked for each time.
func (r *reloader) apply(config *conf.Config) {
	r.level.Set(config.Log.Level.Level())
	r.deadline.Set(config.Enforce.DecisionTimeout)
	named := make(map[string]bool, len(config.Enforce.Namespaces))
	for namespace, mode := range config.Enforce.Namespaces {
		named[namespace] = mode != conf.ModeAudit
	}
	r.metrics.Enforcing(config.Enforce.Mode != conf.ModeAudit, named)
}

// started says with what the daemon starts. Defaults may be what nobody chose: a node in audit mode that lost its
// file would enforce.
func (r *reloader) started(ctx context.Context) {
	config := r.live.config()
	r.metrics.ConfigRead(true)
	r.apply(config)
	if config.File == "" {
		r.log.WarnContext(ctx, "no configuration file: the defaults are in force", "file", conf.DefaultPath)
	}
	var differ []string
	for _, namespace := range slices.Sorted(maps.Keys(config.Enforce.Namespaces)) {
		if mode := config.Enforce.Namespaces[namespace]; mode != config.Enforce.Mode {
			differ = append(differ, namespace)
		}
	}
	r.log.InfoContext(ctx, "starting", "version", thisVersion(), "file", config.File,
		"mode", config.Enforce.Mode.String(), "namespaces_of_other_mode", nonNil(differ))
}

// nonNil has an empty list logged as a list.
func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
