package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/countersign/countersign/plugin/install/journal"
)

// ErrNotInstalled reports that there is nothing to uninstall.
var ErrNotInstalled = errors.New("countersign install has changed nothing on this host")

// Removal says what an uninstallation removes and what it leaves.
type Removal struct {
	// KeepData leaves stored evidence in /var/lib/countersign.
	KeepData bool
	// Purge removes all of /etc/countersign, with files that the operator wrote or changed.
	Purge bool
}

// Uninstall restores the state before the first installation: containerd's files first, then the service. It returns
// the files that it leaves, because somebody else wrote or changed them.
func (i *Installer) Uninstall(ctx context.Context, options Removal) (left []string, err error) {
	record, err := i.journal.Record()
	if err != nil {
		return nil, err
	}
	if len(record.Entries) == 0 {
		if err := i.journal.Clear(); err != nil {
			return nil, err
		}
		return nil, ErrNotInstalled
	}
	if err := i.kubeletUses(); err != nil {
		return nil, err
	}
	r := &remover{installer: i, options: options}
	if err := r.plan(record); err != nil {
		return nil, err
	}
	removal, err := i.journal.Remove(slices.Concat(r.containerd, r.service), r.trees)
	if err != nil {
		return nil, err
	}
	if err := i.remove(ctx, removal, r); err != nil {
		return nil, fmt.Errorf("%w; repeat countersign uninstall to complete it", err)
	}
	left, err = i.left()
	return left, err
}

func (i *Installer) remove(ctx context.Context, removal *journal.Removal, r *remover) error {
	if err := removal.Apply(len(r.containerd)); err != nil {
		return err
	}
	d, err := detect(i.host)
	if err != nil {
		return err
	}
	if err := i.system.restartContainerd(ctx, d.units, pathsOf(r.containerd)); err != nil {
		return err
	}
	if i.system != nil {
		if err := i.system.stop(ctx); err != nil {
			return err
		}
	}
	if err := removal.Apply(len(r.service)); err != nil {
		return err
	}
	if i.system != nil {
		if err := i.system.run(ctx, "daemon-reload"); err != nil {
			return err
		}
	}
	return removal.Commit()
}

// remover plans a removal.
type remover struct {
	installer           *Installer
	options             Removal
	containerd, service []journal.Change
	trees               []string
}

func (r *remover) plan(record *journal.Record) error {
	for _, e := range slices.Backward(record.Entries) {
		change, keep, err := r.change(e)
		if err != nil {
			return err
		}
		switch {
		case keep:
		// A directory is removed after all files.
		case ofService(e.Path), e.Directory():
			r.service = append(r.service, change)
		default:
			r.containerd = append(r.containerd, change)
		}
	}
	if r.options.Purge {
		r.trees = append(r.trees, etc)
	}
	r.trees = append(r.trees, "/run/countersign")
	if r.options.KeepData {
		return nil
	}
	names, err := r.installer.host.Names(dataPath)
	for _, name := range names {
		if name != path.Base(statePath) {
			r.trees = append(r.trees, path.Join(dataPath, name))
		}
	}
	return err
}

// change returns how one path is restored, and whether it is left as it is: a file that somebody has changed since is
// not overwritten, unless countersign depends on it.
func (r *remover) change(e journal.Entry) (change journal.Change, keep bool, err error) {
	host := r.installer.host
	original, err := r.installer.journal.Original(e)
	if err != nil {
		return journal.Change{}, false, err
	}
	change = journal.Change{Path: e.Path, File: original}
	current, err := host.Read(e.Path)
	if err != nil {
		return journal.Change{}, false, err
	}
	if e.Unchanged(current) || current == nil || current.Kind != journal.Regular {
		return change, false, nil
	}
	switch {
	case strings.HasPrefix(e.Path, etc+"/"):
		return change, !r.options.Purge, nil
	case path.Ext(e.Path) == ".tmpl":
		current.Contents = withoutBlock(current.Contents)
		change.File = current
	case ofContainerd(e.Path) && path.Base(e.Path) != dropInName:
		for _, pattern := range []string{imports, importsOfOurs} {
			if current.Contents, err = removeImport(current.Contents, pattern); err != nil {
				return journal.Change{}, false, fmt.Errorf("%s: %w", e.Path, err)
			}
		}
		change.File = current
	}
	return change, false, nil
}

// kubeletUses returns an error if the kubelet pulls images through the daemon: without it, it starts no pod.
func (i *Installer) kubeletUses() error {
	const config = "/var/lib/kubelet/config.yaml"
	text, err := i.host.ReadFile(config)
	if err != nil {
		return nil // The kubelet of this host is configured in another place, or there is none.
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "imageServiceEndpoint:") && strings.Contains(line, "countersign") {
			return fmt.Errorf("the kubelet pulls images through countersign, and starts no pod without it: remove "+
				"imageServiceEndpoint from %s and restart the kubelet first", config)
		}
	}
	return nil
}

// left returns what is still in the directories of countersign.
func (i *Installer) left() (names []string, err error) {
	for _, directory := range []string{etc, dataPath} {
		place := filepath.Join(i.host.Root, directory)
		err := filepath.WalkDir(place, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			names = append(names, strings.TrimPrefix(name, i.host.Root))
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return names, err
		}
	}
	return names, nil
}
