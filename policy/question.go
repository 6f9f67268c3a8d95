package policy

import (
	// A digest is valid only if the program links its algorithm.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Question asks whether a namespace may run an image under the reference in its pod. It is comparable, so that it can
// be a key of caches.
type Question struct {
	// Namespace is the pod's Kubernetes namespace, a DNS label, or [CanaryNamespace].
	Namespace string
	// Reference is what the pod's author wrote, not normalised: a name, or an image ID such as sha256:ab12….
	Reference string
	// Config is the digest of the config of the image that the runtime reports to run.
	Config digest.Digest
}

// maxReference has room for the longest possible reference: 255 bytes of name, 128 of tag and the longest digest.
const maxReference = 1024

// Validate returns a [*Refusal] if the question is invalid.
func (q Question) Validate() error {
	if err := q.ValidateReference(); err != nil {
		return err
	}
	if err := q.Config.Validate(); err != nil {
		return refuse(BadRequest, "invalid config digest %q: %v", q.Config, err)
	}
	return nil
}

// ValidateReference is [Question.Validate] without the config, which some runtimes do not report.
func (q Question) ValidateReference() error {
	if !isDNSLabel(q.Namespace) && q.Namespace != CanaryNamespace {
		return refuse(BadRequest, "the pod's namespace %q is not a DNS label", q.Namespace)
	}
	if q.Reference == "" {
		return refuse(BadRequest, "the container has no image reference")
	}
	if len(q.Reference) > maxReference {
		return refuse(BadRequest, "the image reference has %d bytes; the maximum is %d", len(q.Reference), maxReference)
	}
	return nil
}

// ImageID returns the hexadecimal digits if the pod's reference is an image ID: sha256:<hex>, complete or as a prefix,
// or all 64 digits without the algorithm. The kubelet and containerd accept both instead of a name, although
// sha256:ab12 could also be a repository of Docker Hub with a tag.
func (q Question) ImageID() (hexadecimal string, ok bool) {
	if rest, found := strings.CutPrefix(q.Reference, "sha256:"); found {
		return rest, isHexadecimal(rest) && len(rest) <= 64
	}
	return q.Reference, len(q.Reference) == 64 && isHexadecimal(q.Reference)
}

func isHexadecimal(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}

// isDNSLabel follows RFC 1123, as Kubernetes does for names of namespaces. Nothing else may become part of a path.
func isDNSLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// ValidNamespace reports whether s can be the name of a Kubernetes namespace, and therefore of a document's file.
func ValidNamespace(s string) bool { return isDNSLabel(s) }
