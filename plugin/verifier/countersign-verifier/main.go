// Countersign-verifier is the program that containerd runs before it downloads an image; package verifier implements
// it. It is installed in containerd's bin_dir (plugins."io.containerd.image-verifier.v1.bindir").
//
// containerd passes no arguments of ours. If countersign's configuration is not at /etc/countersign/config.toml,
// install a script under this name instead:
//
//	#!/bin/sh
//	exec /usr/local/bin/countersign-verifier -config /srv/countersign.toml "$@"
package main

import (
	"os"

	"github.com/countersign/countersign/plugin/verifier"
)

func main() { os.Exit(verifier.Run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
