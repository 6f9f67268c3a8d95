// Package conf contains the files that an operator edits, and reads config.toml.
//
// config.toml is the configuration: it explains every key and sets it to its default. containerd.toml is the drop-in
// that makes containerd require countersign; countersign.service runs the daemon; policies/ contains example documents.
// [Files] returns them all, as they are installed.
//
// Unknown keys are errors, because otherwise a misspelt key would be a setting without effect. All problems of a file
// are reported at once, one line each, with file, line, column and what to do.
package conf
