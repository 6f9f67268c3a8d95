package attack_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

func imageStatus(reference string) *cri.ImageStatusRequest {
	return &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: reference}}
}

// forged requests a container of an image on the node, with values that a test chooses instead of the kubelet's.
func (l *lab) forged(
	t *testing.T, pod *node.RunningPod, image string, forge func(*cri.CreateContainerRequest),
) (string, error) {
	t.Helper()
	name := fmt.Sprintf("forged-%d", l.pods.Add(1))
	request := must(pod.CreationRequest(t.Context(), node.Container{Name: name, Image: image, Pull: node.Never}))(t)
	request.Config.LogPath = ""
	forge(request)
	return l.create(t, request)
}

func (l *lab) forgedReferences(t *testing.T) {
	_, signed := l.signed(t, "shop/reference:v1", "signed reference")
	evil := l.push(t, "aaa/reference:v1", l.image(t, "evil reference"))
	pull(t, l.Node, evil.Reference)
	pod := l.begin(t, l.Node, strict, node.Container{Image: signed.Reference})
	hexadecimal, own := signed.Config.Encoded(), evil.Config.Encoded()
	tests := map[string]struct{ reference, reason string }{
		"the signed image's name":            {signed.Reference, "unknown-origin"},
		"its name and digest":                {signed.ByDigest(), "unknown-origin"},
		"its name with the evil digest":      {signed.Repository + "@" + evil.Digest.String(), "unknown-origin"},
		"the evil name with its digest":      {evil.Repository + "@" + signed.Digest.String(), "unknown-origin"},
		"its image ID":                       {"sha256:" + hexadecimal, "unknown-origin"},
		"a prefix of its image ID":           {"sha256:" + hexadecimal[:12], "unknown-origin"},
		"its image ID without the algorithm": {hexadecimal, "unknown-origin"},
		"its image ID in upper case":         {"sha256:" + strings.ToUpper(hexadecimal), "unknown-origin"},
		"its image ID as a tag":              {"docker.io/library/sha256:" + hexadecimal, "unknown-origin"},
		"its image ID as a digest":           {"sha256@sha256:" + hexadecimal, "unknown-origin"},
		"another algorithm":                  {"sha512:" + hexadecimal, "unknown-origin"},
		"an image ID too long":               {"sha256:" + hexadecimal + "00", "unknown-origin"},
		"an algorithm alone":                 {"sha256:", "bad-request"},
		"a name and white space":             {signed.Reference + " ", "bad-request"},
		"a name and another line":            {signed.Reference + "\n(accepted)", "bad-request"},
		"a path":                             {"../../" + signed.Reference, "bad-request"},
		"a very long name":                   {signed.Repository + "/" + strings.Repeat("a", 4096), "bad-request"},
		"its own image ID":                   {"sha256:" + own, "unsigned"},
		"a prefix of its own image ID":       {"sha256:" + own[:7], "unsigned"},
		"its own name":                       {evil.Reference, "unsigned"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			id, err := l.forged(t, pod, evil.Reference, func(request *cri.CreateContainerRequest) {
				request.Config.Image.UserSpecifiedImage = test.reference
			})
			if err == nil {
				t.Fatalf("the evil image is created as %s by the reference %q", id, test.reference)
			}
			refusal := refusal{strict, pod.Pod.Name, []string{test.reference}, err.Error()}
			l.recorded(t, refusal, test.reference, test.reason)
		})
	}
	t.Run("nothing, as kubelets before 1.28", func(t *testing.T) {
		_, err := l.forged(t, pod, evil.Reference, func(request *cri.CreateContainerRequest) {
			request.Config.Image.UserSpecifiedImage = ""
		})
		if err == nil {
			t.Fatal("the evil image is created")
		}
		l.recorded(t, refusal{strict, pod.Pod.Name, []string{evil.Reference}, err.Error()}, evil.Reference, "unsigned")
	})
	t.Run("a prefix of the image ID, to the runtime as well", func(t *testing.T) {
		prefixed := func(of node.Pushed) (string, error) {
			return l.forged(t, pod, of.Reference, func(request *cri.CreateContainerRequest) {
				short := of.Config.String()[:len("sha256:")+16]
				request.Config.Image = &cri.ImageSpec{Image: short, UserSpecifiedImage: short}
			})
		}
		if _, err := prefixed(evil); err == nil || !strings.HasSuffix(err.Error(), "(unsigned)") {
			t.Errorf("the evil image: %v", err)
		}
		if _, err := prefixed(signed); err != nil {
			t.Errorf("the signed image: %v", err)
		}
	})
}

func (l *lab) forgedAnnotations(t *testing.T) {
	_, signed := l.signed(t, "shop/annotated:v1", "signed annotated")
	evil := l.push(t, "aaa/annotated:v1", l.image(t, "evil annotated"))
	pull(t, l.Node, evil.Reference)
	pod := l.begin(t, l.Node, strict, node.Container{Image: signed.Reference})
	claims := map[string]string{
		"io.kubernetes.cri.image-name":                  signed.Reference,
		"io.kubernetes.cri.podsandbox.image-name":       signed.Reference,
		"io.kubernetes.cri.sandbox-namespace":           lax,
		"io.kubernetes.pod.namespace":                   lax,
		"required-plugins.noderesource.dev":             "[]",
		"tolerate-missing-plugins.noderesource.dev":     "true",
		"tolerate-missing-plugins.noderesource.dev/pod": "true",
	}
	wrote := []string{evil.Reference, signed.Reference}
	t.Run("of the container", func(t *testing.T) {
		_, err := l.forged(t, pod, evil.Reference, func(request *cri.CreateContainerRequest) {
			request.Config.Annotations, request.Config.Labels = claims, claims
		})
		if err == nil {
			t.Fatal("the evil image is created")
		}
		l.recorded(t, refusal{strict, pod.Pod.Name, wrote, err.Error()}, signed.Reference, "unknown-origin")
	})
	t.Run("of the pod", func(t *testing.T) {
		request := must(pod.CreationRequest(t.Context(), node.Container{Name: "forged", Image: evil.Reference}))(t)
		request.Config.LogPath = ""
		request.SandboxConfig = proto.Clone(request.GetSandboxConfig()).(*cri.PodSandboxConfig)
		request.SandboxConfig.Annotations, request.SandboxConfig.Labels = claims, claims
		request.SandboxConfig.Metadata.Uid = "another"
		request.SandboxConfig.Metadata.Name = "annotated"
		sandbox := must(l.CRI.Runtime.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{
			Config: request.GetSandboxConfig(),
		}))(t)
		defer func() {
			if err := l.CRI.RemoveSandbox(t.Context(), sandbox.GetPodSandboxId()); err != nil {
				t.Error(err)
			}
		}()
		request.PodSandboxId = sandbox.GetPodSandboxId()
		if _, err := l.create(t, request); err == nil {
			t.Error("the evil image is created")
		} else {
			l.recorded(t, refusal{strict, "annotated", wrote, err.Error()}, evil.Reference, "unsigned")
		}
	})
}

func (l *lab) nameWithOtherDigest(t *testing.T) {
	_, signed := l.signed(t, "shop/pinned:v1", "signed pinned")
	evil := l.push(t, "shop/pinned:evil", l.image(t, "evil pinned"))
	pull(t, l.Node, signed.Reference)
	// The kubelet and containerd use the digest and drop the tag.
	l.refused(t, strict, node.Container{Image: signed.Reference + "@" + evil.Digest.String()}, "unsigned")
	l.runs(t, l.Node, strict, evil.Reference+"@"+signed.Digest.String(), "signed pinned")
	l.runs(t, l.Node, lax, signed.Reference+"@"+evil.Digest.String(), "evil pinned")
	// Although it was pulled under that name, it is not signed.
	l.refused(t, strict, node.Container{Image: evil.ByDigest()}, "unsigned")
}
