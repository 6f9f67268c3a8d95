package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

const (
	acceptDocument = `{"default":[{"type":"insecureAcceptAnything"}]}`
	rejectDocument = `{"default":[{"type":"reject"}]}`
)

// previewNode is a node that runs a container "app" in each of some namespaces.
type previewNode struct {
	namespaces []string
	// own are the namespaces that have a document.
	own []string
	// state is the state of the stored evidence, and gone are the containers that have ended.
	state policy.State
	gone  []string
}

func (n previewNode) preview(t *testing.T) *preview {
	t.Helper()
	kinds := RequirementKinds(nil)
	current := &policy.Set{Namespaces: map[string]policy.Source{}, Directory: errors.New("not mounted")}
	for _, namespace := range n.own {
		current.Namespaces[namespace] = policy.Source{Name: "/own.json"}
	}
	plugin := &nri.Plugin{Handler: &nri.Handler{
		Deadline: policy.NewDeadline(time.Minute),
		Content: func(context.Context, policy.Container) ([]digest.Digest, error) {
			return []digest.Digest{explainedConfig}, nil
		},
		Record: func(_ context.Context, id string) (policy.Record, error) {
			if slices.Contains(n.gone, id) {
				return policy.Record{}, policy.ErrNoContainer
			}
			return policy.Record{Config: explainedConfig}, nil
		},
		Audit:  func(string) bool { return false },
		Report: func(context.Context, nri.Report) { t.Error("a preview is recorded") },
	}}
	return &preview{
		current: func() *policy.Set { return current },
		parse:   PolicyParser(kinds),
		decider: func(set *policy.Set) (*policy.Decider, error) {
			return policy.NewDecider(policy.Sources{
				Documents: func() *policy.Set { return set }, Image: explainedImage,
				Lookup: func([]policy.Manifest, reference.Named) policy.StoredEvidence {
					return policy.StoredEvidence{{Manifest: explainedManifest, State: n.state}}
				},
				Kinds: kinds,
			})
		},
		list: func(context.Context) (running []containerd.Container, err error) {
			for _, namespace := range n.namespaces {
				running = append(running, containerd.Container{
					ID: "id-" + namespace, Sandbox: "sandbox", Namespace: namespace, Pod: "pod", Name: "app",
					Reference: explainedReference,
				})
			}
			return running, nil
		},
		evaluate: plugin.Preview,
		timeout:  time.Minute,
		slots:    make(slots, 1),
	}
}

func explainedImage(_ context.Context, _ policy.Question) (*policy.Image, error) {
	named, err := policy.Normalize(explainedReference)
	if err != nil {
		return nil, err
	}
	return &policy.Image{
		Config: explainedConfig, Confirmed: true, PulledAs: []reference.Named{named},
		Manifests: []policy.Manifest{{Digest: explainedManifest, Repositories: []string{named.Name()}}},
	}, nil
}

func signedDocument(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	requirement, err := json.Marshal(map[string]any{"type": "sigstoreSigned", "keyData": data})
	if err != nil {
		t.Fatal(err)
	}
	return `{"default":[` + string(requirement) + `]}`
}

func callPreview(
	t *testing.T, p *preview, documents map[string]string,
) (socket.PreviewAnswer, error) {
	t.Helper()
	client := serveTest(t, socket.PreviewEndpoint, socket.LargeEndpoint(socket.MaxPreview, p.answer))
	request := socket.PreviewRequest{Documents: map[string]json.RawMessage{}}
	for namespace, document := range documents {
		request.Documents[namespace] = json.RawMessage(document)
	}
	return socket.CallLarge[socket.PreviewAnswer](t.Context(), client,
		socket.Large{Endpoint: socket.PreviewEndpoint, Limit: socket.MaxPreviewAnswer}, request)
}
