package crio_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// builder is who signs without a key.
var builder = signaturetest.Identity{Email: "build@example.com", Issuer: "https://issuer.example/oauth"}

// lab is a node without policies yet, and a registry with four images, each tagged latest.
type lab struct {
	*node.Node
	program  string
	registry *node.Registry
	sigstore *signaturetest.Sigstore
	key      node.Key
	// signed is signed by builder, without a key; keyed by the key. The other two are not signed: unsigned is in a
	// repository that the restrictive policy does not name, due in one of which it asks a signature.
	signed, keyed, unsigned, due node.Pushed
}

func newLab(t *testing.T) *lab {
	t.Helper()
	tools := node.NewTools(t)
	l := &lab{
		registry: node.NewRegistry(t, node.RegistryConfig{Tools: tools}),
		sigstore: signaturetest.NewSigstore(t),
	}
	for name, pushed := range map[string]*node.Pushed{
		"signed": &l.signed, "keyed": &l.keyed, "unsigned": &l.unsigned, "due": &l.due,
	} {
		image, err := tools.Image("this is " + name)
		if err != nil {
			t.Fatal(err)
		}
		if *pushed, err = l.registry.Push(t.Context(), "crio/"+name+":latest", image); err != nil {
			t.Fatal(err)
		}
	}
	keyless.Sign(t, l.registry, l.signed, l.sigstore, builder)
	var err error
	if l.key, err = tools.GenerateKey(t.Context(), t.TempDir(), "cosign"); err != nil {
		t.Fatal(err)
	}
	if err := tools.Sign(t.Context(), node.Signing{Image: l.keyed, Key: l.key, OldFormat: true}); err != nil {
		t.Fatal(err)
	}
	if l.program, err = tools.BuildProgram(t.Context(), "./plugin/countersign", t.TempDir(), false); err != nil {
		t.Fatal(err)
	}
	l.Node = node.Start(t, node.Config{Tools: tools, RequiredPlugins: []string{"countersign"}})
	return l
}

// accepting is CRI-O's default policy for tests.
func accepting() node.Policy { return node.Policy{Default: node.Accept()} }

// restrictive is CRI-O's restrictive policy: it rejects what is not signed by an identity, or here by the key.
func (l *lab) restrictive(t *testing.T, identity signaturetest.Identity) node.Policy {
	t.Helper()
	return node.Policy{
		Default: node.Reject(),
		Scopes: map[string]node.Requirement{
			l.signed.Repository: l.sigstore.Requirement(t, identity),
			l.keyed.Repository:  node.Cosign(l.key.Public),
			l.due.Repository:    l.sigstore.Requirement(t, identity),
		},
	}
}

func (l *lab) write(t *testing.T, namespace string, policy node.Policy) {
	t.Helper()
	if err := l.WritePolicy(namespace, policy.JSON()); err != nil {
		t.Fatal(err)
	}
}

// govern gives the system another policy and restarts countersign, as CRI-O's tests restart CRI-O.
func (l *lab) govern(t *testing.T, daemon *node.Daemon, policy node.Policy) {
	t.Helper()
	l.write(t, "", policy)
	if err := daemon.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (l *lab) startDaemon(t *testing.T) *node.Daemon {
	t.Helper()
	return node.NewDaemon(t, l.Node, node.DaemonConfig{Program: l.program})
}

// pull pulls an image for no pod and returns what the runtime calls it.
func (l *lab) pull(t *testing.T, image node.Pushed) string {
	t.Helper()
	id, err := l.CRI.PullImage(t.Context(), image.Reference, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// documentOf is the path of a namespace's document, and of the system's for the empty one.
func (l *lab) documentOf(namespace string) string {
	if namespace == "" {
		return l.SystemPolicy()
	}
	return strings.TrimSuffix(l.PolicyDirectory(), "/") + "/" + namespace + ".json"
}

// sends creates containers as a client that names an image otherwise than a kubelet does, which sends the image's ID.
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
