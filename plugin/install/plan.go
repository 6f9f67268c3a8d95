package install

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/countersign/countersign/plugin/install/journal"
)

// Mode is how an installation treats containers that a policy refuses.
type Mode string

// The modes.
const (
	// Audit reports them. containerd requires no plugin, and no pull is refused.
	Audit Mode = "audit"
	// Enforce refuses such containers, and all containers while the daemon is disconnected.
	Enforce Mode = "enforce"
)

// Runner is what runs the daemon.
type Runner string

// The runners.
const (
	// Service is a service of systemd.
	Service Runner = "service"
	// NRIPlugin is a supervisor that containerd starts as an NRI plugin.
	NRIPlugin Runner = "nri-plugin"
)

// The paths of an installation.
const (
	etc          = "/etc/countersign"
	ConfigPath   = etc + "/config.toml"
	systemPolicy = etc + "/system.json"
	unitPath     = "/etc/systemd/system/countersign.service"
	wantsPath    = "/etc/systemd/system/multi-user.target.wants/countersign.service"
	programs     = "/usr/local/bin"
	dataPath     = "/var/lib/countersign"
	statePath    = dataPath + "/install"

	verifierName = "countersign-verifier"
)

// Options are what an operator chooses.
type Options struct {
	// Mode is empty for the mode of the last installation, or audit if there is none.
	Mode Mode
	// Runner is empty for the runner of the last installation, or the service if there is none.
	Runner Runner
	// Containerd is containerd's main configuration file. If it is empty, the file is where the distribution has it.
	Containerd string
	// Countersign and Verifier are the two programs.
	Countersign, Verifier Program
	// SystemPolicy is the system policy where nobody has written another one; nil: the example.
	SystemPolicy []byte
	// Version is the version of the programs.
	Version string
}

// Program is a program to install.
type Program struct {
	// Installed is its path on the host, if it is where programs are installed; it stays there. Otherwise Contents are
	// copied.
	Installed string
	Contents  []byte
}

// path returns where a program is after the installation.
func (p Program) path(name string) string {
	if p.Installed != "" {
		return p.Installed
	}
	return path.Join(programs, name)
}

// Plan is what an installation changes.
type Plan struct {
	// Mode is the mode after the installation, and Before the one before it; empty: nothing is installed.
	Mode, Before Mode
	// Runner is what runs the daemon after the installation.
	Runner Runner
	// Notes are sentences for the operator.
	Notes []string

	host *journal.Host
	// version is that of the programs, and versionBefore that of the last installation.
	version, versionBefore string
	units                  []string
	// service and containerd are the changes to the files of the service and of containerd, in their order.
	service, containerd []journal.Change
	// config is set if of the service's files only the configuration changes.
	onlyConfig bool
}

// Changes returns all changes, in their order.
func (p *Plan) Changes() []journal.Change {
	if p.serviceFirst() {
		return slices.Concat(p.service, p.containerd)
	}
	return slices.Concat(p.containerd, p.service)
}

// serviceFirst reports whether the service's files change first: containerd may require the plugin only once the
// service enforces, and not longer than that. containerd itself starts the plugin, so the program has to be there.
func (p *Plan) serviceFirst() bool { return p.Mode == Enforce || p.Runner == NRIPlugin }

// builder collects the state that files will have.
type builder struct {
	host   *journal.Host
	record *journal.Record
	plan   *Plan
	// kept are paths that an earlier installation changed and that stay as they are.
	kept map[string]bool
}

// want adds a change, and the directories that it needs, unless the path has that state already.
func (b *builder) want(changes *[]journal.Change, name string, file *journal.File) error {
	b.kept[name] = true
	if err := b.directories(changes, path.Dir(name)); err != nil {
		return err
	}
	current, err := b.host.Read(name)
	if err != nil {
		return err
	}
	if current != nil && current.Kind == journal.Directory && file.Kind != journal.Directory {
		return fmt.Errorf("%s is a directory", name)
	}
	if current != nil && file.Kind == current.Kind {
		file.UID, file.GID = current.UID, current.GID
	}
	if !file.Equal(current) {
		*changes = append(*changes, journal.Change{Path: name, File: file})
	}
	return nil
}

// text wants a regular file. An existing file keeps its mode.
func (b *builder) text(changes *[]journal.Change, name string, contents []byte) error {
	file := &journal.File{Kind: journal.Regular, Mode: 0o644, Contents: contents}
	current, err := b.host.Read(name)
	if err == nil && current != nil && current.Kind == journal.Regular {
		file.Mode = current.Mode
	}
	return errors.Join(err, b.want(changes, name, file))
}

func (b *builder) program(changes *[]journal.Change, name string, contents []byte) error {
	return b.want(changes, name, &journal.File{Kind: journal.Regular, Mode: 0o755, Contents: contents})
}

// directories wants a directory and those above it, with mode 0755 where they do not exist.
func (b *builder) directories(changes *[]journal.Change, name string) error {
	if name == "/" || name == "." {
		return nil
	}
	for above := name; above != "/"; above = path.Dir(above) {
		b.kept[above] = true
	}
	resolved, err := b.host.Resolve(name, true)
	if err != nil {
		return err
	}
	current, err := b.host.Read(resolved)
	switch {
	case err != nil:
		return err
	case current != nil && current.Kind == journal.Directory:
		return nil
	case current != nil:
		return fmt.Errorf("%s is not a directory", name)
	}
	planned := func(change journal.Change) bool { return change.Path == name }
	if slices.ContainsFunc(*changes, planned) {
		return nil
	}
	if err := b.directories(changes, path.Dir(name)); err != nil {
		return err
	}
	*changes = append(*changes, journal.Change{
		Path: name, File: &journal.File{Kind: journal.Directory, Mode: 0o755},
	})
	return nil
}

// BeginsToEnforce reports whether containers may be refused after the installation that are not refused before.
func (p *Plan) BeginsToEnforce() bool {
	return p.Mode == Enforce && (p.Before != Enforce || len(p.containerd) > 0)
}
