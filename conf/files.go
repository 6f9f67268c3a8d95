package conf

import (
	"embed"
	"io/fs"
)

//go:embed config.toml containerd.toml containerd-audit.toml countersign.service countersign-cri.socket nri-plugin.conf policies/*.json policies/README.md
var files embed.FS

// Files returns the files that an operator installs and edits, with their names in this folder.
func Files() fs.FS { return files }
