package install

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/countersign/countersign/plugin/install/journal"
	"github.com/countersign/countersign/plugin/supervisor"
)

// unit is the daemon's service.
const unit = "countersign.service"

// System controls the services of the running host. A nil *System controls none.
type System struct {
	// Systemctl runs systemctl with arguments, and returns what it prints.
	Systemctl func(ctx context.Context, arguments ...string) (string, error)
	// Ready waits until the daemon is registered with containerd and, if enforce is set, required by it.
	Ready func(ctx context.Context, enforce bool) error
	// Supervisor asks the supervisor of a daemon that containerd starts.
	Supervisor func(ctx context.Context, request SupervisorRequest) error
	// Progress is called before each step that takes time.
	Progress func(text string)
}

// run runs systemctl. Its error has what systemctl printed.
func (s *System) run(ctx context.Context, arguments ...string) error {
	s.Progress("systemctl " + strings.Join(arguments, " "))
	output, err := s.Systemctl(ctx, arguments...)
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(output))
	}
	return nil
}

// serve starts the daemon, or makes it read what has changed.
func (s *System) serve(ctx context.Context, p *Plan) error {
	if s == nil {
		return nil
	}
	if p.Runner == NRIPlugin {
		return s.serveSupervised(ctx, p)
	}
	if len(p.service) == 0 {
		return nil
	}
	if err := s.Supervisor(ctx, StopSupervisor); err != nil {
		return err
	}
	if p.onlyConfig {
		return s.run(ctx, "reload-or-restart", unit)
	}
	if err := s.run(ctx, "daemon-reload"); err != nil {
		return err
	}
	arguments := []string{"restart", unit}
	if len(s.active(ctx, p.units)) == 0 {
		arguments = []string{"restart", "--no-block", unit} // Without containerd, the daemon waits.
	}
	if err := s.run(ctx, arguments...); err != nil {
		return fmt.Errorf("%w; see journalctl -u %s", err, unit)
	}
	return nil
}

// restartContainerd restarts the containerd that runs if one of the paths is its configuration.
func (s *System) restartContainerd(ctx context.Context, units, paths []string) error {
	if s == nil || !containsContainerd(paths) {
		return nil
	}
	var failed error
	for _, name := range s.active(ctx, units) {
		failed = errors.Join(failed, s.run(ctx, "restart", name))
	}
	return failed
}

// active returns the units that run.
func (s *System) active(ctx context.Context, units []string) []string {
	return slices.DeleteFunc(slices.Clone(units), func(name string) bool {
		_, err := s.Systemctl(ctx, "is-active", "--quiet", name)
		return err != nil
	})
}

// ready waits until containerd and the daemon are connected as planned.
func (s *System) ready(ctx context.Context, p *Plan) error {
	if s == nil || len(s.active(ctx, p.units)) == 0 {
		return nil
	}
	s.Progress("waiting until countersign is registered with containerd")
	return s.Ready(ctx, p.Mode == Enforce)
}

// settle makes the services follow files that were restored.
func (s *System) settle(ctx context.Context, host *journal.Host, paths []string) error {
	if s == nil {
		return nil
	}
	d, err := detect(host)
	failed := errors.Join(err, s.restartContainerd(ctx, d.units, paths))
	ofDaemon := func(name string) bool { return ofService(name) || path.Base(name) == pluginName }
	if !slices.ContainsFunc(paths, ofDaemon) {
		return failed
	}
	installed, err := host.Read(unitPath)
	failed = errors.Join(failed, err)
	if installed != nil {
		return errors.Join(failed, s.Supervisor(ctx, StopSupervisor), s.run(ctx, "daemon-reload"),
			s.run(ctx, "restart", unit))
	}
	if plugin, err := host.Read(supervisor.Settings); err != nil || plugin == nil {
		return errors.Join(failed, err, s.stop(ctx), s.run(ctx, "daemon-reload"))
	}
	failed = errors.Join(failed, s.stopUnit(ctx), s.run(ctx, "daemon-reload"))
	if err := s.Supervisor(ctx, ReplaceSupervisor); !errors.Is(err, supervisor.ErrNone) {
		return errors.Join(failed, err)
	}
	return errors.Join(failed, s.restartContainerd(ctx, d.units, []string{pluginName}))
}

// stop stops the daemon, if it runs.
func (s *System) stop(ctx context.Context) error {
	return errors.Join(s.stopUnit(ctx), s.Supervisor(ctx, StopSupervisor))
}

// stopUnit stops the service, if it runs.
func (s *System) stopUnit(ctx context.Context) error {
	if len(s.active(ctx, []string{unit})) == 0 {
		// The service may be restarting.
		_, _ = s.Systemctl(ctx, "stop", unit)
		_, _ = s.Systemctl(ctx, "reset-failed", unit)
		return nil
	}
	return s.run(ctx, "stop", unit)
}
