package socket

// PullEndpoint is where containerd's image verifier asks about each pull, with a [PullRequest].
const PullEndpoint = "/v1/pull"

// PullRequest asks whether an image may be pulled.
type PullRequest struct {
	// Name is the reference as containerd resolved it, normalised.
	Name string `json:"name"`
	// Digest, MediaType and Size are those of the manifest or index that the reference leads to.
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
}

// Decision is what becomes of a pull. Anything but the two below, the zero Decision too, is no answer.
type Decision string

// The two decisions.
const (
	Admit  Decision = "admit"
	Refuse Decision = "refuse"
)

// PullAnswer says what becomes of a pull.
type PullAnswer struct {
	Decision Decision `json:"decision"`
	// Message is one line for whoever pulls, and less than 300 characters.
	Message string `json:"message"`
}
