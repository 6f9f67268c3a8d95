// Package pull reads the three settings of config.toml that containerd's image verifier needs, with nothing but the
// standard library: the verifier is started anew for each pull and has to be done in milliseconds.
//
// It understands less than TOML. The three settings have to be plain strings on one line each, under a table header
// or as dotted keys; the rest of the file may be anything that cannot be taken for them. What it does not understand
// it reports, and never guesses at: package conf, which has a real parser, calls for every file that this one reads
// in another way, or not at all, an error.
package pull
