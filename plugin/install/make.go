package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/install/journal"
)

// Plan returns the plan of an installation. It changes nothing.
func (i *Installer) Plan(ctx context.Context, options Options) (*Plan, error) {
	record, err := i.journal.Record()
	if err != nil {
		return nil, err
	}
	before := Mode(record.Mode)
	mode := options.Mode
	if mode == "" {
		mode = before
	}
	if mode == "" {
		mode = Audit
	}
	d, err := detect(i.host)
	if err != nil {
		return nil, err
	}
	if options.Containerd != "" && options.Containerd != d.main {
		d.main, d.template, d.generated = options.Containerd, "", ""
	}
	b := &builder{
		host: i.host, record: record, kept: map[string]bool{},
		plan: &Plan{
			Mode: mode, Before: before, Runner: runner(options, record), host: i.host,
			version: options.Version, versionBefore: record.Version, units: d.units,
		},
	}
	if err := b.configureContainerd(ctx, d, options); err != nil {
		return nil, fmt.Errorf("containerd: %w", err)
	}
	if err := b.configureService(d, options); err != nil {
		return nil, err
	}
	return b.plan, b.removeObsolete(i.journal)
}

// configureContainerd plans the drop-in, and the verifier.
func (b *builder) configureContainerd(ctx context.Context, d distribution, options Options) error {
	r, err := readRuntime(ctx, b.host, d, dropInOf(b.record))
	if err != nil {
		return err
	}
	s, err := r.configure(ctx, b.plan.Mode == Enforce)
	if err != nil {
		return err
	}
	b.plan.Notes = append(b.plan.Notes, s.notes...)
	changes := &b.plan.containerd
	if b.plan.Runner == NRIPlugin {
		directory := r.config.NRIPlugins()
		if err := b.nriPlugin(changes, directory, options.Countersign.path("countersign")); err != nil {
			return err
		}
	}
	if err := b.verifier(changes, r.config.Verifiers(), options.Verifier.path(verifierName)); err != nil {
		return err
	}
	// The drop-in exists before it is imported.
	b.kept[d.main] = true
	for _, name := range []string{s.dropIn, d.main} {
		contents, changed := s.files[name]
		if !changed {
			continue
		}
		resolved, err := b.host.Resolve(name, true)
		if err != nil {
			return err
		}
		if err := b.text(changes, resolved, contents); err != nil {
			return err
		}
	}
	return nil
}

// dropInOf returns the drop-in of an earlier installation; empty: there is none.
func dropInOf(record *journal.Record) string {
	for _, e := range slices.Backward(record.Entries) {
		if path.Base(e.Path) == dropInName {
			return e.Path
		}
	}
	return ""
}

// auditVerifier never refuses a pull, whatever happens to the program that it calls.
const auditVerifier = `#!/bin/sh
# countersign, audit mode: signatures are fetched during the pull, and no pull is refused.
%s "$@" || exit 0
`

func (b *builder) verifier(changes *[]journal.Change, directory, program string) error {
	name := path.Join(directory, verifierName)
	if b.plan.Mode == Audit {
		return b.program(changes, name, fmt.Appendf(nil, auditVerifier, program))
	}
	return b.want(changes, name, &journal.File{Kind: journal.Symlink, Mode: fs.ModePerm, Contents: []byte(program)})
}

// configureService plans the programs, the configuration, the policies and the unit.
func (b *builder) configureService(d distribution, options Options) error {
	changes := &b.plan.service
	for name, program := range map[string]Program{"countersign": options.Countersign, verifierName: options.Verifier} {
		if program.Installed != "" {
			b.kept[program.Installed] = true // An earlier installation may have copied it there.
			continue
		}
		if err := b.program(changes, program.path(name), program.Contents); err != nil {
			return err
		}
	}
	slices.SortFunc(*changes, func(x, y journal.Change) int { return strings.Compare(x.Path, y.Path) })
	withoutConfig := len(*changes)
	config, err := b.configuration(changes, d)
	if err != nil {
		return err
	}
	b.plan.onlyConfig = withoutConfig == 0 && len(*changes) == 1
	if err := b.policies(changes, config, options.SystemPolicy); err != nil {
		return err
	}
	if b.plan.Runner == NRIPlugin {
		return nil
	}
	before := len(*changes)
	err = b.unit(changes, options.Countersign.path("countersign"))
	b.plan.onlyConfig = b.plan.onlyConfig && len(*changes) == before
	return err
}

// unit plans the systemd unit, which runs a program.
func (b *builder) unit(changes *[]journal.Change, program string) error {
	unit, err := fs.ReadFile(conf.Files(), "countersign.service")
	if err != nil {
		return err
	}
	unit = bytes.Replace(unit, []byte("/usr/local/bin/countersign run"),
		[]byte(program+" run"), 1)
	if err := b.text(changes, unitPath, unit); err != nil {
		return err
	}
	return b.want(changes, wantsPath,
		&journal.File{Kind: journal.Symlink, Mode: fs.ModePerm, Contents: []byte(unitPath)})
}

// policies plans the directories of policies and keys, the examples, and a system policy.
func (b *builder) policies(changes *[]journal.Change, config *conf.Config, system []byte) error {
	directories := []string{path.Join(etc, "keys"), path.Join(etc, "examples")}
	if config.Policy.Directory != "" {
		directories = append(directories, config.Policy.Directory)
	}
	for _, directory := range directories {
		if err := b.directories(changes, directory); err != nil {
			return err
		}
	}
	if err := b.examples(changes); err != nil {
		return err
	}
	return b.systemPolicy(changes, config, system)
}

// examples plans the examples of policies.
func (b *builder) examples(changes *[]journal.Change) error {
	names, err := fs.Glob(conf.Files(), "policies/*")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := fs.ReadFile(conf.Files(), name)
		if err != nil {
			return err
		}
		if err := b.text(changes, path.Join(etc, "examples", path.Base(name)), text); err != nil {
			return err
		}
	}
	return nil
}

// systemPolicy plans a system policy, if the configuration names ours. One that somebody has written stays. The example
// that an earlier installation has written stays too, but is replaced by a policy that the operator gives.
func (b *builder) systemPolicy(changes *[]journal.Change, config *conf.Config, given []byte) error {
	b.kept[systemPolicy] = true
	current, err := b.host.Read(config.Policy.System)
	switch {
	case err != nil:
		return err
	case current != nil && (given == nil || !b.wrote(systemPolicy, current)):
		return nil
	case config.Policy.System != systemPolicy:
		b.plan.Notes = append(b.plan.Notes, fmt.Sprintf("the system policy %s does not exist: namespaces without a document "+
			"are denied until it does", config.Policy.System))
		return nil
	}
	if given != nil {
		return b.text(changes, systemPolicy, given)
	}
	text, err := fs.ReadFile(conf.Files(), "policies/system.json")
	return errors.Join(err, b.text(changes, systemPolicy, text))
}

// wrote reports whether an earlier installation has written what a file has now.
func (b *builder) wrote(name string, current *journal.File) bool {
	return slices.ContainsFunc(b.record.Entries, func(e journal.Entry) bool {
		return e.Path == name && e.Unchanged(current)
	})
}

// removeObsolete plans to restore what an earlier installation changed and this one does not need.
func (b *builder) removeObsolete(j *journal.Journal) error {
	for _, e := range slices.Backward(b.record.Entries) {
		if b.kept[e.Path] {
			continue
		}
		original, err := j.Original(e)
		if err != nil {
			return err
		}
		b.plan.containerd = append(b.plan.containerd, journal.Change{Path: e.Path, File: original})
	}
	return nil
}
