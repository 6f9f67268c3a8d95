package evidence

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	dockerconfig "github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/errdefs"
)

// hostDirectory finds the directory of a host in a list of directories that is separated by colons, as containerd's CRI
// service does (2.4.2, internal/cri/server/images: hostDirFromRoots): the first directory of the list that has one for
// the host, or else a "_default", counts alone. One that does not exist is passed over; one that cannot be read is an
// error, for it could be the one that counts.
//
// containerd's transfer service, which the CRI service pulls with by default since 2.1, takes a list for the path of
// one directory (containerd issue 12415), and so finds no hosts.toml at all. We do what the list says.
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

// MissingHostsDirectories returns those directories of the list that do not exist.
func (r *Registries) MissingHostsDirectories() []string {
	var missing []string
	for _, root := range filepath.SplitList(r.config.HostsDirectory) {
		if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, root)
		}
	}
	return missing
}
