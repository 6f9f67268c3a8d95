// Package conf holds the files an operator edits, and reads the one that is countersign's own.
//
// config.toml is the configuration, with every key explained and set to its default; containerd.toml is the drop-in
// that makes containerd require countersign; countersign.service runs the daemon; policies/ has documents to start
// from. [Files] has them all, as they are installed.
//
// The configuration is strict: a key that is not known is an error, for a misspelt key is a setting that is silently
// not made. Every fault of a file is reported at once, each on one line with its place and what to do about it.
package conf
