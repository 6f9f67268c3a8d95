package install

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/countersign/countersign/plugin/install/journal"
)

// Installer installs and uninstalls on one host.
type Installer struct {
	host    *journal.Host
	journal *journal.Journal
	system  *System
}

// Open returns an installer for the host whose root is a directory of this process's file system. system is nil if the
// services of the host cannot be controlled from here.
func Open(host *journal.Host, system *System) (*Installer, error) {
	root, err := filepath.Abs(host.Root)
	if err != nil {
		return nil, err
	}
	host.Root = root
	opened, err := journal.Open(host, statePath)
	if err != nil {
		return nil, err
	}
	return &Installer{host: host, journal: opened, system: system}, nil
}

// Close lets other processes install on the host.
func (i *Installer) Close() error { return i.journal.Close() }

// Recover undoes an installation that was interrupted, or completes a removal. It reports which.
func (i *Installer) Recover(ctx context.Context) (string, error) {
	paths, removal, err := i.journal.Interrupted()
	if err != nil || len(paths) == 0 {
		return "", errors.Join(err, i.journal.Recover())
	}
	what := "an installation was interrupted: its changes were undone"
	if removal {
		what = "a removal was interrupted: it was completed"
	}
	if err := i.journal.Recover(); err != nil {
		return "", err
	}
	return what, i.system.settle(ctx, i.host, paths)
}

// Apply carries out a plan. If anything fails, it restores the state before, and returns why.
func (i *Installer) Apply(ctx context.Context, p *Plan) error {
	changes := p.Changes()
	// A package has replaced the programs already, and the supervisor has to follow.
	replaced := p.Runner == NRIPlugin && p.version != p.versionBefore
	if len(changes) == 0 && p.Mode == p.Before && !replaced {
		return i.system.startSupervised(ctx, p)
	}
	transaction, err := i.journal.Begin(changes)
	if err != nil {
		return fmt.Errorf("preparing the installation: %w", err)
	}
	if err := i.apply(ctx, transaction, p); err != nil {
		// The operator may have cancelled the context; the state before is restored nevertheless.
		ctx := context.WithoutCancel(ctx)
		return errors.Join(fmt.Errorf("nothing was installed: %w", err), transaction.RollBack(),
			i.system.settle(ctx, i.host, pathsOf(changes)))
	}
	label := journal.Label{Version: p.version, Mode: string(p.Mode)}
	return transaction.Commit(label, changes)
}

func (i *Installer) apply(ctx context.Context, transaction *journal.Transaction, p *Plan) error {
	service := func() error {
		if err := transaction.Apply(len(p.service)); err != nil {
			return err
		}
		return i.system.serve(ctx, p)
	}
	containerd := func() error {
		if err := transaction.Apply(len(p.containerd)); err != nil {
			return err
		}
		return i.system.restartContainerd(ctx, p.units, pathsOf(p.containerd))
	}
	steps := []func() error{containerd, service}
	if p.serviceFirst() {
		steps = []func() error{service, containerd}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	if err := i.system.startSupervised(ctx, p); err != nil {
		return err
	}
	return i.system.ready(ctx, p)
}

func pathsOf(changes []journal.Change) (paths []string) {
	for _, change := range changes {
		paths = append(paths, change.Path)
	}
	return paths
}

// ofContainerd reports whether a path is a configuration file of containerd or its plugin, which it reads or runs when
// it starts.
func ofContainerd(name string) bool {
	base, extension := path.Base(name), path.Ext(name)
	return base == dropInName || base == pluginName || extension == ".tmpl" ||
		extension == ".toml" && name != ConfigPath
}

// ofService reports whether a path belongs to the service, and not to containerd.
func ofService(name string) bool {
	for _, directory := range []string{etc, programs, "/etc/systemd"} {
		if name == directory || strings.HasPrefix(name, directory+"/") {
			return true
		}
	}
	return false
}

func containsContainerd(paths []string) bool { return slices.ContainsFunc(paths, ofContainerd) }

// Interrupted reports whether an installation or a removal was interrupted. [Installer.Recover] ends it.
func (i *Installer) Interrupted() (bool, error) {
	paths, removal, err := i.journal.Interrupted()
	return removal || len(paths) > 0, err
}
