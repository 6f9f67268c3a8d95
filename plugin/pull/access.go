package pull

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/distribution/reference"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

// maxShown limits the images that are recorded as shown to a request. The least recently pulled ones are forgotten.
const maxShown = 10_000

// access remembers to which requests a registry has shown an image: requests of the same namespace with the same
// credentials. It allows to skip the registry if the image is admitted by what this node stores. Without it, the
// registry would be skipped for every namespace, and the time of an answer would tell a namespace without access that
// the image is here and signed. Credentials are part of a hash with a key of this process.
type access struct {
	key   [sha256.Size]byte
	shown *lru.Cache[[sha256.Size]byte, struct{}]
}

func newAccess() *access {
	a := &access{}
	a.shown, _ = lru.New[[sha256.Size]byte, struct{}](maxShown) // It fails only without a size.
	_, _ = rand.Read(a.key[:])                                  // It never fails.
	return a
}

// was reports whether the registry has shown the image to such a request.
func (a *access) was(p pull) bool {
	id, ok := a.id(p)
	if !ok {
		return false
	}
	_, shown := a.shown.Get(id)
	return shown
}

// add remembers that the registry has shown the image to a request.
func (a *access) add(p pull) {
	if id, ok := a.id(p); ok {
		a.shown.Add(id, struct{}{})
	}
}

// id identifies the requests to which the same is shown. It returns false if the credentials cannot be read.
func (a *access) id(p pull) (id [sha256.Size]byte, ok bool) {
	var username, secret string
	if p.Credentials != nil {
		var err error
		if username, secret, err = p.Credentials(reference.Domain(p.ref)); err != nil {
			return id, false
		}
	}
	mac := hmac.New(sha256.New, a.key[:])
	fmt.Fprintf(mac, "%q", []string{p.Namespace, username, secret, p.ref.Name(), p.Target.String()})
	mac.Sum(id[:0])
	return id, true
}

// reader returns the credentials with which an image is read. A pod without credentials must not learn with the node's
// whether an image is signed that it cannot pull.
func (p pull) reader() registry.CredentialFunc {
	if p.Credentials == nil && p.Namespace != "" {
		return func(string) (username, secret string, err error) { return "", "", nil }
	}
	return p.Credentials
}

// knownTo returns the verdict about an image on this node if it is admitted and the registry has shown it to such a
// request before. Which signatures exist is for those who may pull the image. That it is on this node, because another
// namespace has pulled it, proves nothing: the registry has to answer to the credentials of this request.
func (g *Gate) knownTo(ctx context.Context, p pull, image *policy.Image) (policy.Verdict, bool) {
	if !g.access.was(p) {
		return policy.Verdict{}, false
	}
	verdict := g.decide(ctx, p, image)
	return verdict, verdict.Admitted()
}
