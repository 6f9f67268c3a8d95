package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	dockerconfig "github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/errdefs"
	"github.com/pelletier/go-toml/v2"

	"github.com/countersign/countersign/policy/internal/bounded"
)

// hostDirectory finds the directory of a host in a list of directories that is separated by colons, as containerd's CRI
// service does (2.4.2, internal/cri/server/images: hostDirFromRoots): only the first directory of the list that has one
// for the host, or otherwise a "_default", is used. One that does not exist is skipped; one that cannot be read is an
// error, because it might be the one to use.
//
// containerd's transfer service, with which the CRI service pulls by default since 2.1, treats a list as the path of
// one directory (containerd issue 12415), and so finds no hosts.toml at all. This package implements the list.
func hostDirectory(list string) func(host string) (string, error) {
	return func(host string) (string, error) {
		for _, root := range filepath.SplitList(list) {
			found, err := dockerconfig.HostDirFromRoot(root)(host)
			if err != nil && !errdefs.IsNotFound(err) || found != "" {
				return found, err
			}
		}
		return "", errdefs.ErrNotFound
	}
}

// MissingHostsDirectories returns the directories of the list that do not exist.
func (c *Client) MissingHostsDirectories() []string {
	var missing []string
	for _, root := range filepath.SplitList(c.config.HostsDirectory) {
		if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, root)
		}
	}
	return missing
}

// maxHostsFile limits a hosts.toml, in bytes.
const maxHostsFile = 1 << 20

// hostsProblem returns what is wrong with the hosts.toml of a directory. containerd logs that it cannot decode such a
// file and continues as if there were none (2.4.2, core/remotes/docker/config: loadHostDir), and so does this package.
func hostsProblem(directory string) error {
	path := filepath.Join(directory, "hosts.toml")
	raw, err := bounded.ReadFile(path, maxHostsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	var file map[string]any
	err = toml.Unmarshal(raw, &file)
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := decode.Position()
		return fmt.Errorf("%s:%d:%d does not parse, and containerd ignores it: %s", path, line, column, decode.Error())
	}
	return err
}

// Problems returns what is wrong with the hosts.toml files: each problem affects only the registry of that file.
func (c *Client) Problems() (problems []error) {
	for _, root := range filepath.SplitList(c.config.HostsDirectory) {
		directories, err := os.ReadDir(root)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, fmt.Errorf("reading how containerd reaches registries: %w", err))
		}
		for _, directory := range directories {
			if err := hostsProblem(filepath.Join(root, directory.Name())); err != nil {
				problems = append(problems, err)
			}
		}
	}
	return problems
}

// hostsNote returns the note for errors of a registry whose hosts.toml containerd ignores, or an empty string.
func hostsNote(list, domain string) string {
	if list == "" {
		return ""
	}
	directory, err := hostDirectory(list)(domain)
	if err != nil || directory == "" {
		return ""
	}
	if problem := hostsProblem(directory); problem != nil {
		return problem.Error()
	}
	return ""
}
