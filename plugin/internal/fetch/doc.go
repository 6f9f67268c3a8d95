// Package fetch fetches the evidence of all manifests of an image: for the pull gate, for the daemon's evidence service
// and for commands.
package fetch
