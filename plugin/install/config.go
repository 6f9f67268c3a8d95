package install

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/install/journal"
)

// configuration plans config.toml, and returns what it will say. An existing file is kept; its mode changes only if
// the mode of the installation changes.
func (b *builder) configuration(changes *[]journal.Change, d distribution) (*conf.Config, error) {
	text, err := b.host.ReadFile(ConfigPath)
	exists := !errors.Is(err, fs.ErrNotExist)
	if err != nil && exists {
		return nil, err
	}
	if !exists {
		text, err = newConfiguration(d)
		if err != nil {
			return nil, err
		}
	}
	config, err := conf.Parse(ConfigPath, text)
	if err != nil {
		return nil, err
	}
	if exists && b.plan.Before == "" {
		if err := b.existing(config); err != nil {
			return nil, err
		}
	} else if text, err = b.setMode(text); err != nil {
		return nil, fmt.Errorf("%s: %w", ConfigPath, err)
	}
	if config, err = conf.Parse(ConfigPath, text); err != nil {
		return nil, err
	}
	b.kept[ConfigPath] = true
	return config, b.text(changes, ConfigPath, text)
}

// existing checks a configuration that the operator has brought before the first installation.
func (b *builder) existing(config *conf.Config) error {
	switch {
	case b.plan.Mode == Audit && config.ModeAnywhere(conf.ModeEnforce):
		return fmt.Errorf("%s exists and enforces: set [enforce] mode = \"audit\" in it, or install with --mode enforce",
			ConfigPath)
	case b.plan.Mode == Enforce && config.Enforce.Mode == conf.ModeAudit:
		return fmt.Errorf("%s exists and has mode = \"audit\": install without --mode enforce first", ConfigPath)
	default:
		return nil
	}
}

// setMode sets the mode of a configuration, and what happens to pulls without the daemon, if the mode of the
// installation changes.
func (b *builder) setMode(text []byte) ([]byte, error) {
	if b.plan.Before == b.plan.Mode {
		return text, nil
	}
	mode, unavailable := conf.ModeAudit, conf.AllowPulls
	if b.plan.Mode == Enforce {
		mode, unavailable = conf.ModeEnforce, conf.DenyPulls
	}
	text, err := setString(text, "enforce", "mode", mode.String())
	if err != nil {
		return nil, err
	}
	return setString(text, "pull", "on_daemon_unavailable", unavailable.String())
}

// newConfiguration returns the configuration of a first installation, apart from its mode. /etc/containers/policy.json
// belongs to podman, skopeo and CRI-O, if one of them is or will be installed: ours is another file.
func newConfiguration(d distribution) ([]byte, error) {
	text, err := fs.ReadFile(conf.Files(), "config.toml")
	if err != nil {
		return nil, err
	}
	for _, setting := range []struct{ table, key, value string }{
		{"policy", "system", systemPolicy},
		{"containerd", "address", d.address},
		{"registry", "config_path", d.hosts},
	} {
		if setting.value == "" {
			continue
		}
		if text, err = setString(text, setting.table, setting.key, setting.value); err != nil {
			return nil, err
		}
	}
	return text, nil
}
