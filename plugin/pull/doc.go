// Package pull decides whether this node pulls an image: [Gate] refuses an image that no policy document of the node
// could admit, and fetches the evidence of all others before a container needs it.
//
// A [Gate] is independent of who asks. [VerifierEndpoint] answers containerd's image verifier at the daemon's socket.
package pull
