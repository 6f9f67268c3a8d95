// Package socket is how this node's programs ask the daemon: HTTP/1.1 over a unix socket that only root may use, with
// a JSON document each way. containerd's image verifier asks whether a pull may go on; commands have evidence fetched.
//
// It imports nothing but the standard library, for the verifier is started anew for each pull and links it.
//
// Both ends may be of different versions: fields that are not known are passed over, and whoever needs a field says so
// when it is missing.
package socket
