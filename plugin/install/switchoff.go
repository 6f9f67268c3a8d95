package install

import (
	"context"
	"errors"
	"path"
	"slices"

	"github.com/countersign/countersign/plugin/install/journal"
	"github.com/countersign/countersign/plugin/supervisor"
)

// SwitchOff makes containerd work without countersign: it removes the drop-in and the verifier, restarts containerd,
// and stops the service. It continues if a step fails, and needs neither a record nor a valid configuration. It returns
// what it did.
func (i *Installer) SwitchOff(ctx context.Context) (done []string, failed error) {
	paths, failed := i.switches(ctx)
	for _, name := range paths {
		removed, err := i.switchOff(name)
		failed = errors.Join(failed, err)
		if removed {
			done = append(done, "removed "+name)
		}
	}
	if i.system == nil {
		return append(done, "no service was restarted; on the running host: systemctl restart containerd && "+
			"systemctl disable --now countersign"), failed
	}
	if err := i.system.restartContainerd(ctx, allUnits(), []string{dropInName}); err != nil {
		failed = errors.Join(failed, err)
	} else {
		done = append(done, "restarted containerd")
	}
	if err := i.kubeletUses(); err != nil {
		return done, errors.Join(failed, err)
	}
	if installed, err := i.host.Read(unitPath); err != nil || installed == nil {
		return done, errors.Join(failed, err, i.system.stop(ctx))
	}
	failed = errors.Join(failed, i.system.Supervisor(ctx, StopSupervisor))
	if err := i.system.run(ctx, "disable", "--now", unit); err != nil {
		return done, errors.Join(failed, err)
	}
	return append(done, "stopped the service"), failed
}

// switchOff removes a file, or from a template what was added to it. It reports whether there was anything.
func (i *Installer) switchOff(name string) (removed bool, err error) {
	file, err := i.host.Read(name)
	if err != nil || file == nil {
		return false, err
	}
	change := journal.Change{Path: name}
	if path.Ext(name) == ".tmpl" {
		without := withoutBlock(file.Contents)
		if len(without) == len(file.Contents) {
			return false, nil
		}
		file.Contents = without
		change.File = file
	}
	err = i.host.Set(change)
	return err == nil, err
}

// switches returns the files with which containerd calls countersign, wherever they may be.
func (i *Installer) switches(ctx context.Context) ([]string, error) {
	paths := []string{
		path.Join(path.Dir(imports), dropInName), "/etc/containerd/config.d/" + dropInName,
		"/opt/containerd/image-verifier/bin/" + verifierName, supervisor.Plugin,
	}
	record, failed := i.journal.Record()
	if failed == nil {
		for _, e := range record.Entries {
			base := path.Base(e.Path)
			verifier := base == verifierName && !ofService(e.Path)
			if base == dropInName || base == pluginName || verifier || path.Ext(base) == ".tmpl" {
				paths = append(paths, e.Path)
			}
		}
	}
	paths = append(paths, i.configuredSwitches(ctx)...)
	slices.Sort(paths)
	return slices.Compact(paths), failed
}

// configuredSwitches returns the files that containerd's configuration names, as far as it can be read.
func (i *Installer) configuredSwitches(ctx context.Context) (paths []string) {
	d, err := detect(i.host)
	if err != nil {
		return nil
	}
	if d.template != "" {
		paths = append(paths, d.template)
	}
	r, err := readRuntime(ctx, i.host, d, "")
	if err != nil {
		return paths
	}
	if pattern := r.importedDirectory(); pattern != "" {
		paths = append(paths, path.Join(path.Dir(pattern), dropInName))
	}
	paths = append(paths, path.Join(r.config.NRIPlugins(), pluginName))
	return append(paths, path.Join(r.config.Verifiers(), verifierName))
}
