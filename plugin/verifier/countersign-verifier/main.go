// Countersign-verifier is run by containerd before it downloads an image: package verifier says what it does. It lies
// in containerd's bin_dir (plugins."io.containerd.image-verifier.v1.bindir").
//
// Where countersign's configuration is not at /etc/countersign/config.toml, what lies there instead is a script, for
// containerd passes no arguments of ours:
//
//	#!/bin/sh
//	exec /usr/local/bin/countersign-verifier -config /srv/countersign.toml "$@"
package main

import (
	"os"

	"github.com/countersign/countersign/plugin/verifier"
)

func main() { os.Exit(verifier.Run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
