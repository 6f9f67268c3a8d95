package crio_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// builder is the identity that signs without a key.
var builder = signaturetest.Identity{Email: "build@example.com", Issuer: "https://issuer.example/oauth"}

// lab is a node without policies yet, and a registry with four images, each tagged latest.
type lab struct {
	*rig.Rig
	sigstore *signaturetest.Sigstore
	// signed is signed by builder without a key, keyed by the key. The other two are not signed: unsigned is in a
	// repository that the restrictive policy does not name, due in one for which it requires a signature.
	signed, keyed, unsigned, due node.Pushed
}

func newLab(t *testing.T) *lab {
	t.Helper()
	w := rig.NewWorkshop(t)
	l := &lab{Rig: w.NewRig(t, node.NewRegistry(t, w.Distribution())), sigstore: signaturetest.NewSigstore(t)}
	for name, pushed := range map[string]*node.Pushed{
		"signed": &l.signed, "keyed": &l.keyed, "unsigned": &l.unsigned, "due": &l.due,
	} {
		*pushed = rig.Must(l.Registry.Push(t.Context(), "crio/"+name+":latest", l.Image(t, "this is "+name)))(t)
	}
	keyless.Sign(t, l.Registry, l.signed, l.sigstore, builder)
	rig.OK(t, l.Tools.Sign(t.Context(), node.Signing{Image: l.keyed, Key: l.Key, OldFormat: true}))
	return l
}

// accepting is CRI-O's default policy for tests.
func accepting() node.Policy { return node.Policy{Default: node.Accept()} }

// restrictive is CRI-O's restrictive policy: it requires a signature by an identity, or in this package by the key.
func (l *lab) restrictive(t *testing.T, identity signaturetest.Identity) node.Policy {
	t.Helper()
	return node.Policy{
		Default: node.Reject(),
		Scopes: map[string]node.Requirement{
			l.signed.Repository: l.sigstore.Requirement(t, identity),
			l.keyed.Repository:  node.Cosign(l.Key.Public),
			l.due.Repository:    l.sigstore.Requirement(t, identity),
		},
	}
}

// govern replaces the system policy and restarts countersign, as CRI-O's tests restart CRI-O.
func (l *lab) govern(t *testing.T, daemon *node.Daemon, policy node.Policy) {
	t.Helper()
	l.Write(t, "", policy)
	rig.OK(t, daemon.Restart(t.Context()))
}

func (l *lab) startDaemon(t *testing.T) *node.Daemon {
	t.Helper()
	l.Daemon = l.PrepareDaemon(t, node.DaemonConfig{})
	l.Start(t)
	return l.Daemon
}

// sends is a client that does not send the image's ID in CreateContainer, as a kubelet does, but another name.
type sends struct {
	cri.RuntimeServiceClient
	image string
}

// CreateContainer implements the client.
func (s sends) CreateContainer(
	ctx context.Context, request *cri.CreateContainerRequest, options ...grpc.CallOption,
) (*cri.CreateContainerResponse, error) {
	request.Config.Image.Image = s.image
	return s.RuntimeServiceClient.CreateContainer(ctx, request, options...)
}
