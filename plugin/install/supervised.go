package install

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/install/journal"
	"github.com/countersign/countersign/plugin/supervisor"
)

// pluginName is the name of the program that containerd starts, in any directory.
const pluginName = "10-countersign"

// SupervisorRequest is what a supervisor is asked for.
type SupervisorRequest string

// The requests. All but StopSupervisor fail with [supervisor.ErrNone] if no supervisor runs.
const (
	ReloadDaemon      SupervisorRequest = "reload"
	ReplaceSupervisor SupervisorRequest = "replace"
	StopSupervisor    SupervisorRequest = "stop"
	FindSupervisor    SupervisorRequest = "find"
)

// runner returns what runs the daemon after an installation.
func runner(options Options, record *journal.Record) Runner {
	if options.Runner != "" {
		return options.Runner
	}
	if pluginOf(record) != "" {
		return NRIPlugin
	}
	return Service
}

// pluginOf returns the plugin that is installed; empty: none is.
func pluginOf(record *journal.Record) string {
	for _, e := range record.Entries {
		if path.Base(e.Path) == pluginName && e.Written != nil {
			return e.Path
		}
	}
	return ""
}

// nriPlugin plans what containerd starts: a link to the program, so that both are replaced together, and its settings.
func (b *builder) nriPlugin(changes *[]journal.Change, directory, program string) error {
	existing, err := b.host.Read(supervisor.Settings)
	if err != nil {
		return err
	}
	b.kept[supervisor.Settings] = true
	if existing == nil {
		text, err := fs.ReadFile(conf.Files(), "nri-plugin.conf")
		if err := errors.Join(err, b.text(changes, supervisor.Settings, text)); err != nil {
			return err
		}
	}
	for above := path.Dir(supervisor.Settings); above != "/"; above = path.Dir(above) {
		b.kept[above] = true
	}
	return b.want(changes, path.Join(directory, pluginName),
		&journal.File{Kind: journal.Symlink, Mode: fs.ModePerm, Contents: []byte(program)})
}

// removesUnit reports whether an earlier installation was a service, and this one is not.
func (p *Plan) removesUnit() bool {
	return slices.ContainsFunc(p.containerd, func(c journal.Change) bool { return c.Path == unitPath && c.File == nil })
}

// serveSupervised makes a supervisor that runs follow the plan. Without one, containerd starts it.
func (s *System) serveSupervised(ctx context.Context, p *Plan) error {
	if p.removesUnit() {
		if err := s.stopUnit(ctx); err != nil {
			return err
		}
	}
	request := ReplaceSupervisor
	switch {
	case p.onlyConfig && p.version == p.versionBefore:
		request = ReloadDaemon
	case len(p.service) == 0 && p.version == p.versionBefore:
		return nil
	}
	s.Progress("the supervisor of the daemon: " + string(request))
	if err := s.Supervisor(ctx, request); !errors.Is(err, supervisor.ErrNone) {
		return err
	}
	return nil
}

// startSupervised restarts containerd if it has to start the supervisor and did not yet.
func (s *System) startSupervised(ctx context.Context, p *Plan) error {
	if s == nil || p.Runner != NRIPlugin {
		return nil
	}
	if p.removesUnit() {
		if err := s.run(ctx, "daemon-reload"); err != nil {
			return err
		}
	}
	if containsContainerd(pathsOf(p.containerd)) {
		return nil // It was restarted.
	}
	if err := s.Supervisor(ctx, FindSupervisor); !errors.Is(err, supervisor.ErrNone) {
		return err
	}
	return s.restartContainerd(ctx, p.units, []string{pluginName})
}
