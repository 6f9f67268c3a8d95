package daemon

import (
	"context"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/plugin/pull"
	"github.com/countersign/countersign/policy/registry"
)

func (d *daemon) newGate() *pull.Gate {
	config := pull.Config{
		RequiresSignature: d.decider.RequiresSignatureFor,
		Audits:            d.decider.AuditsFor,
		Decide:            d.decider.DecidePull,
		FindImage:         d.images.Find,
		Image:             d.images.Image,
		Registry:          d.registryWith,
		Lookup:            d.keeper.Lookup,
		Fetch:             d.fetchWith,
		Named:             d.named.contains,
		Report:            d.recorder.recordPull,
		Audit:             d.current.auditAt,
		NoIdentity:        d.current.noIdentityAt,
		Panicked:          d.panicked,
	}
	d.tracePulls(&config)
	return pull.NewGate(config)
}

// registryWith reads images with the credentials of a request only, or with the node's if they are nil.
func (d *daemon) registryWith(credentials registry.CredentialFunc) fetch.Registry {
	registries := d.registries
	if credentials != nil {
		registries = registries.WithOnly(credentials)
	}
	return fetch.Registry{Resolve: registries.Resolve, Image: registries.Image}
}

// fetchWith fetches evidence with the credentials of a request.
func (d *daemon) fetchWith(credentials registry.CredentialFunc) fetch.Func {
	return func(ctx context.Context, manifest digest.Digest, ref reference.Named) error {
		return d.keeper.FetchWith(ctx, manifest, ref, credentials)
	}
}

// verifierEndpoint answers containerd's image verifier.
func (d *daemon) verifierEndpoint() *pull.VerifierEndpoint {
	return &pull.VerifierEndpoint{
		Gate: d.gate, Timeout: func() time.Duration { return d.current.config().Pull.Timeout },
	}
}
