package layers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// The namespaces: strict requires a signature by the key, and loose accepts everything.
const (
	strict = "strict"
	loose  = "loose"
)

// unsignedSays is what the process of an unsigned image prints. That of a signed image prints its marker.
const unsignedSays = "the unsigned entry point"

// lab is a node with its registry and its daemon.
type lab struct{ *rig.Rig }

func newLab(t *testing.T, w *rig.Workshop, config node.Config) *lab {
	t.Helper()
	config.RequiredPlugins = []string{"countersign"}
	l := &lab{w.On(node.Start(t, config), node.NewRegistry(t, w.Distribution()))}
	l.begin(t, node.DaemonConfig{})
	return l
}

// begin starts the daemon.
func (l *lab) begin(t *testing.T, daemon node.DaemonConfig) {
	t.Helper()
	l.Write(t, "", node.Policy{})
	l.Write(t, strict, node.Policy{Default: node.Cosign(l.Key.Public)})
	l.Write(t, loose, node.Policy{Default: node.Accept()})
	l.Daemon = l.PrepareDaemon(t, daemon)
	l.Start(t)
}

// byRelease returns what is expected if containerd reports the images of containers, or else what is expected if
// countersign finds them by their layers.
func byRelease[T any](l *lab, reported, layers T) T {
	if l.Release().ImagesReported() {
		return reported
	}
	return layers
}

func (l *lab) sign(t *testing.T, pushed node.Pushed) {
	t.Helper()
	rig.OK(t, l.Tools.Sign(t.Context(), node.Signing{Image: pushed, Key: l.Key, OldFormat: true}))
}

func (l *lab) pushAs(t *testing.T, name string, image v1.Image) node.Pushed {
	t.Helper()
	return rig.Must(l.Registry.Push(t.Context(), name, image))(t)
}

// moved makes a tag refer to an image that has another tag in the same repository, and pulls it on the node.
func (l *lab) moved(ctx context.Context, image node.Pushed, tag string) error {
	if err := l.Registry.Tag(ctx, image, tag); err != nil {
		return err
	}
	_, err := l.CRI.PullImage(ctx, image.Repository+":"+tag, nil, nil)
	return err
}

// twins are a signed and an unsigned image with the same layers.
type twins struct {
	signed, unsigned node.Pushed
	// marker is what the signed image prints.
	marker               string
	signedImage, evilOne v1.Image
}

// newTwins pushes twins to one repository and pulls the signed one.
func (l *lab) newTwins(t *testing.T, repository string) twins {
	t.Helper()
	good := l.Image(t, repository)
	return l.twinsOf(t, repository, good, saying(t, good))
}

// twinsOf is newTwins with two given images, of which the first has the name of the repository as marker.
func (l *lab) twinsOf(t *testing.T, repository string, good, evil v1.Image) twins {
	t.Helper()
	w := twins{marker: repository, signedImage: good, evilOne: evil}
	w.signed = l.pushAs(t, repository+":signed", w.signedImage)
	l.sign(t, w.signed)
	w.unsigned = l.pushAs(t, repository+":unsigned", w.evilOne)
	l.Pull(t, w.signed)
	return w
}

// saying returns an image with the same layers and an entry point that identifies it.
func saying(t *testing.T, image v1.Image) v1.Image {
	t.Helper()
	config := rig.Must(image.ConfigFile())(t).DeepCopy()
	config.Config.Entrypoint = []string{"/witness", "say", unsignedSays}
	return rig.Must(mutate.ConfigFile(image, config))(t)
}

// labelled returns an image with a label that builds of images set.
func labelled(t *testing.T, image v1.Image, revision string) v1.Image {
	t.Helper()
	config := rig.Must(image.ConfigFile())(t).DeepCopy()
	config.Config.Labels = map[string]string{"org.opencontainers.image.revision": revision}
	return rig.Must(mutate.ConfigFile(image, config))(t)
}

// elsewhere is an image for a platform that no node pulls.
func (l *lab) elsewhere(t *testing.T) node.Child {
	t.Helper()
	platform := node.Linux("s390x")
	return node.Child{Manifest: rig.Must(l.Tools.ImageFor("elsewhere", *platform))(t), Platform: platform}
}

// repoint makes a name on the node refer to an index, by a pull that fails in the CRI plugin, which needs the size of a
// manifest that is not on the node. The CRI plugin's memory then has the previous image under that name.
func (l *lab) repoint(ctx context.Context, t *testing.T, name string, index v1.ImageIndex) error {
	t.Helper()
	pushed, err := l.Registry.PushIndex(ctx, name, index)
	if err != nil {
		return err
	}
	if _, err := l.CRI.PullImage(ctx, pushed.Reference, nil, nil); err == nil {
		return fmt.Errorf("containerd takes the index %s: the attack must be made another way", pushed.Reference)
	}
	return nil
}

// pods runs a signed image by its digest in a pod of the strict namespace, and in one in a user namespace.
func (l *lab) pods(t *testing.T, image node.Pushed) map[string]*node.RunningPod {
	t.Helper()
	running := map[string]*node.RunningPod{}
	image.Reference = image.ByDigest()
	for kind, userNamespace := range map[string]bool{"a pod": false, "a pod in a user namespace": true} {
		pod := l.Pod(strict, image)
		pod.UserNamespace = userNamespace
		running[kind] = l.started(t, pod)
	}
	return running
}

func (l *lab) started(t *testing.T, pod node.Pod) *node.RunningPod {
	t.Helper()
	running, err := l.RunPodUntil(t.Context(), pod)
	if err != nil {
		t.Fatalf("%s in %s should run: %v", pod.Image, pod.Namespace, err)
	}
	t.Cleanup(func() { _ = running.Remove(context.Background()) })
	return running
}

// asks is what a kubelet requests: a container of an image on the node, which the pod calls by a reference.
type asks struct{ id, reference string }

func of(image node.Pushed, reference string) asks { return asks{image.Config.String(), reference} }

// create creates a container, and repeats that while the verdict is pending.
func (l *lab) create(t *testing.T, pod *node.RunningPod, a asks) (id, name string, err error) {
	t.Helper()
	rig.Eventually(t, "a verdict about "+a.reference, func() error {
		if id, name, err = l.createOnce(t, pod, a); err != nil && strings.HasSuffix(err.Error(), "(pending)") {
			return err
		}
		return nil
	})
	return id, name, err
}

func (l *lab) createOnce(t *testing.T, pod *node.RunningPod, a asks) (id, name string, err error) {
	t.Helper()
	name = fmt.Sprintf("container-%d", l.Number())
	request, err := pod.CreationRequest(t.Context(), node.Container{Name: name, Image: a.id, Pull: node.Never})
	if err != nil {
		return "", name, err
	}
	request.Config.Image.UserSpecifiedImage = a.reference
	rig.OK(t, os.MkdirAll(filepath.Join(request.GetSandboxConfig().GetLogDirectory(), name), 0o700))
	created, err := l.CRI.Runtime.CreateContainer(t.Context(), request)
	return created.GetContainerId(), name, err
}

// start starts a created container, and returns the first line that its process prints. It is removed afterwards.
func (l *lab) start(t *testing.T, pod *node.RunningPod, id, name string) (printed string, err error) {
	t.Helper()
	defer l.remove(t, id)
	return l.startOnly(t, pod, id, name)
}

func (l *lab) remove(t *testing.T, id string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if _, err := l.CRI.Runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: id}); err != nil {
		t.Error(err)
	}
}

// startOnly is start, and leaves the container.
func (l *lab) startOnly(t *testing.T, pod *node.RunningPod, id, name string) (printed string, err error) {
	t.Helper()
	if _, err := l.CRI.Runtime.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: id}); err != nil {
		if printed := rig.Must(pod.Log(name))(t); printed != "" {
			t.Errorf("the start of %s is refused, and its process has printed %q", name, printed)
		}
		return "", err
	}
	return l.prints(t, pod, name), nil
}

func (l *lab) prints(t *testing.T, pod *node.RunningPod, name string) string {
	t.Helper()
	var line string
	rig.Eventually(t, name+" to print a line", func() error {
		text, err := pod.Log(name)
		if line = strings.TrimSuffix(text, "\n"); err == nil && line == "" {
			err = fmt.Errorf("it has not yet")
		}
		return err
	})
	return line
}

// try creates and starts a container. It returns what its process prints, or where and why it is refused: "creation:
// unsigned", "start: unknown-origin".
func (l *lab) try(t *testing.T, pod *node.RunningPod, a asks) string {
	t.Helper()
	id, name, err := l.create(t, pod, a)
	return l.result(t, pod, id, name, err)
}

// tryOnce is try, without a second attempt.
func (l *lab) tryOnce(t *testing.T, pod *node.RunningPod, a asks) string {
	t.Helper()
	id, name, err := l.createOnce(t, pod, a)
	return l.result(t, pod, id, name, err)
}

func (l *lab) result(t *testing.T, pod *node.RunningPod, id, name string, err error) string {
	t.Helper()
	if err != nil {
		return "creation: " + reasonOf(err)
	}
	printed, err := l.start(t, pod, id, name)
	if err != nil {
		return "start: " + reasonOf(err)
	}
	return printed
}

// reasonOf returns the reason of a refusal, or another error whole.
func reasonOf(err error) string {
	said := err.Error()
	open := strings.LastIndex(said, "(")
	if !strings.Contains(said, rig.RefusalPrefix) || open < 0 || !strings.HasSuffix(said, ")") {
		return said
	}
	return said[open+1 : len(said)-1]
}

// want fails the test unless this comes of a request in each of the pods.
func (l *lab) want(t *testing.T, pods map[string]*node.RunningPod, a asks, want string) {
	t.Helper()
	for kind, pod := range pods {
		if got := l.try(t, pod, a); got != want {
			t.Errorf("in %s, %s as %s: %s; want %s", kind, a.id, a.reference, got, want)
		}
	}
}
