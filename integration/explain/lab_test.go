package explain_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// The namespaces of the lab, after what their policies require.
const (
	prod      = "prod"      // A signature by the operator's key, for the image's repository.
	exact     = "exact"     // The same, for the image's tag.
	logged    = "logged"    // The same, in a transparency log.
	builds    = "builds"    // A signature by builder, who has no key.
	company   = "company"   // A certificate of a PKI.
	gpg       = "gpg"       // A GPG signature.
	baselayer = "baselayer" // What no tool implements.
	forbidden = "forbidden" // Nothing is allowed.
	loose     = "loose"     // Everything is allowed.
	broken    = "broken"    // The document does not parse.
	lost      = "lost"      // A signature by a key whose file is missing.
)

// builder signs without a key.
var builder = bundletest.Identity{Email: "build@example.com", Issuer: "https://issuer.example"}

// lab is a node with its registry and a daemon.
type lab struct {
	*rig.Rig
	other    node.Key
	sigstore *bundletest.Sigstore
	// hosts are pods, one in each namespace, in which containers can be created.
	hosts map[string]*node.RunningPod
}

func newLab(t *testing.T, w *rig.Workshop) *lab {
	t.Helper()
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	l := &lab{
		Rig: w.NewRig(t, registry), other: w.NewKey(t, "other"), sigstore: bundletest.NewSigstore(t),
		hosts: map[string]*node.RunningPod{},
	}
	fixtures := rig.Must(filepath.Abs("../../policy/signature/testdata/containers-image"))(t)
	exactly, recorded := node.Cosign(l.Key.Public), node.Cosign(l.Key.Public)
	exactly["signedIdentity"] = map[string]string{"type": "matchExact"}
	recorded["rekorPublicKeyData"] = base64.StdEncoding.EncodeToString(l.sigstore.LogPEM(t))
	requirements := map[string]node.Requirement{
		"": node.Reject(), prod: node.Cosign(l.Key.Public), exact: exactly, logged: recorded,
		builds: l.sigstore.Requirement(t, builder), loose: node.Accept(), forbidden: node.Reject(),
		company: {
			"type": "sigstoreSigned", "signedIdentity": map[string]string{"type": "matchRepository"},
			"pki": map[string]string{
				"caRootsPath":  filepath.Join(fixtures, "pki_root_crts.pem"),
				"subjectEmail": "release@example.com",
			},
		},
		gpg: {"type": "signedBy", "keyType": "GPGKeys", "keyPath": filepath.Join(fixtures, "public-key.gpg")},
		baselayer: {
			"type": "signedBaseLayer", "baseLayerIdentity": map[string]string{"type": "matchRepoDigestOrExact"},
		},
		lost: node.Cosign(l.Path("lost.pub")),
	}
	l.Daemon = l.PrepareDaemon(t, node.DaemonConfig{})
	l.startHosts(t, slices.Sorted(maps.Keys(requirements)))
	for namespace, requirement := range requirements {
		l.require(t, namespace, requirement)
	}
	rig.OK(t, l.WritePolicy(broken, `{"default": [{"type": "reject"`))
	// A daemon that starts has no earlier version of a document.
	rig.OK(t, l.Daemon.Restart(t.Context()))
	return l
}

// startHosts starts the daemon, and a pod in each namespace while everything is allowed.
func (l *lab) startHosts(t *testing.T, namespaces []string) {
	t.Helper()
	l.require(t, "", node.Accept())
	l.Start(t)
	image := l.Push(t, "host:v1")
	for _, namespace := range append(namespaces, broken, "once-loose", "vanished") {
		if namespace != "" {
			l.hosts[namespace] = l.Begin(t, namespace, image)
		}
	}
}

// require writes a namespace's document with a requirement for every image.
func (l *lab) require(t *testing.T, namespace string, requirement node.Requirement) {
	t.Helper()
	rig.OK(t, l.WritePolicy(namespace, node.Policy{Default: requirement}.JSON()))
}

// signed pushes an image that the operator's key has signed, without a transparency log.
func (l *lab) signed(t *testing.T, name string) node.Pushed {
	t.Helper()
	return l.signedBy(t, name, l.Key)
}

func (l *lab) signedBy(t *testing.T, name string, key node.Key) node.Pushed {
	t.Helper()
	image := l.Push(t, name)
	rig.OK(t, l.Tools.Sign(t.Context(), node.Signing{Image: image, Key: key, OldFormat: true}))
	return image
}

// byIdentity pushes an image that an identity has signed under a name.
func (l *lab) byIdentity(t *testing.T, image string, identity bundletest.Identity, named bool) node.Pushed {
	t.Helper()
	pushed, name := l.Push(t, image), ""
	if named {
		name = pushed.Repository
	}
	keyless.SignBundle(t, l.Registry, pushed, l.sigstore, identity, name)
	return pushed
}

// explained is the output of explain, and the exit status.
type explained struct {
	text   string
	status int
}

// explain runs the command explain.
func (l *lab) explain(t testing.TB, arguments ...string) explained {
	t.Helper()
	arguments = append([]string{"explain", "--config", l.Daemon.ConfigFile()}, arguments...)
	command := exec.CommandContext(t.Context(), l.Program, arguments...)
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || stderr.Len() > 0 {
		t.Fatalf("%s: %v\n%s", arguments, err, stderr.String())
	}
	return explained{string(output), command.ProcessState.ExitCode()}
}

// explanation is what tests read of explain's JSON.
type explanation struct {
	Reason    string
	Advice    string
	Took      float64          `json:"took_seconds"`
	From      string           `json:"decisions_from"`
	Decisions []map[string]any `json:"decisions"`
	RootFS    struct{ Result string }
}

func (l *lab) explainJSON(t testing.TB, arguments ...string) (parsed explanation) {
	t.Helper()
	output := l.explain(t, append([]string{"-o", "json"}, arguments...)...)
	if err := json.Unmarshal([]byte(output.text), &parsed); err != nil {
		t.Fatalf("explain %s prints %s: %v", arguments, output.text, err)
	}
	return parsed
}

// attempt tries to run a pod with a name of its own, until it runs or is refused for another reason than pending.
func (l *lab) attempt(t *testing.T, pod node.Pod) error {
	t.Helper()
	running, err := l.RunPodUntil(t.Context(), pod)
	if err == nil {
		t.Cleanup(func() { rig.OK(t, running.Remove(context.WithoutCancel(t.Context()))) })
	}
	return err
}

// forged tries to create a container of an image on the node, for which the author of the pod seems to have written
// another reference.
func (l *lab) forged(t *testing.T, pod *node.RunningPod, name string, image node.Pushed, reference string) error {
	t.Helper()
	request := rig.Must(pod.CreationRequest(t.Context(), node.Container{
		Name: name, Image: image.Reference, Pull: node.Never,
	}))(t)
	request.Config.LogPath = ""
	request.Config.Image.UserSpecifiedImage = reference
	created, err := l.CRI.Runtime.CreateContainer(t.Context(), request)
	if err == nil {
		remove := &cri.RemoveContainerRequest{ContainerId: created.GetContainerId()}
		_, err := l.CRI.Runtime.RemoveContainer(t.Context(), remove)
		rig.OK(t, err)
	}
	return err
}
