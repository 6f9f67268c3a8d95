package kubernetes_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestANamespaceDoesNotProfitFromTheCredentialsOfAnother: whatever a namespace is refused, it is refused after the same
// requests to the registry and with the same text, whether another namespace has pulled the image with its credentials
// before or not. So neither the answer nor its time tells that the image is on the node, or signed.
func TestANamespaceDoesNotProfitFromTheCredentialsOfAnother(t *testing.T) {
	for _, on := range releases() {
		t.Run(on.name(), on.isolation)
	}
}

func (on release) isolation(t *testing.T) {
	t.Parallel()
	tenants := &tenants{}
	registry := protected()
	registry.InProcess, registry.Wrap = true, tenants.record
	tenants.lab = prepareLab(t, labConfig{
		Containerd: node.Release(on), Registry: registry, Audited: audited,
	})
	tenants.Write(t, audited, node.Policy{Scopes: tenants.shop(tenants.Registry)})
	tenants.proxy = rig.Must(node.ConnectCRI(tenants.Path("cri.sock")))(t)
	t.Cleanup(func() { _ = tenants.proxy.Close() })
	own := &cri.AuthConfig{Username: "ann", Password: "ann-7f3a"}
	wrong := &cri.AuthConfig{Username: "ann", Password: "wrong"}
	for name, test := range map[string]struct {
		signed, byDigest bool
		auth             *cri.AuthConfig
	}{
		"an unsigned image, with credentials":                     {false, false, own},
		"an unsigned image by its digest, with credentials":       {false, true, own},
		"an unsigned image, without credentials":                  {false, false, nil},
		"an unsigned image by its digest, without credentials":    {false, true, nil},
		"a signed image, without credentials":                     {true, false, nil},
		"a signed image by its digest, without credentials":       {true, true, nil},
		"a signed image, with wrong credentials":                  {true, false, wrong},
		"a signed image by its digest, with wrong credentials":    {true, true, wrong},
		"an unsigned image by its digest, with wrong credentials": {false, true, wrong},
	} {
		t.Run(name, func(t *testing.T) {
			var answers [2]answer
			var took [2][]time.Duration
			for i := range 2 * repeat {
				used := i%2 == 1
				image := tenants.image(t, test.signed, i)
				if used {
					rig.OK(t, tenants.pull(t, audited, image.Reference, own))
				}
				reference := image.Reference
				if test.byDigest {
					reference = image.ByDigest()
				}
				got := tenants.refusal(t, image, reference, test.auth)
				took[i%2] = append(took[i%2], got.took)
				got.took = 0
				if i >= 2 {
					if diff := cmp.Diff(answers[i%2], got, cmp.AllowUnexported(answer{})); diff != "" {
						t.Errorf("the answer differs between two images:\n%s", diff)
					}
				}
				answers[i%2] = got
			}
			if diff := cmp.Diff(answers[0], answers[1], cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("the answer differs (-not pulled by another +pulled):\n%s", diff)
			}
			t.Logf("median: not pulled by another %s, pulled %s", median(took[0]), median(took[1]))
		})
	}
}

// audited is the namespace that has pulled before. It requires signatures and is in audit mode, so everything that a
// decision fetches has been fetched with its credentials when its pull has ended, and unsigned images are pulled too.
const audited = "audited"

// repeat is how often each refusal is measured.
const repeat = 3

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2].Round(10 * time.Microsecond)
}

// tenants pull through the image service.
type tenants struct {
	*lab
	proxy  *node.CRI
	images []node.Pushed

	mutex sync.Mutex
	// requests are those that the registry has received, recorded before it answers.
	requests []string
}

// record wraps the registry.
func (l *tenants) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		l.mutex.Lock()
		l.requests = append(l.requests, fmt.Sprintf("%s: %s %s, authorised %t", request.UserAgent(), request.Method,
			request.URL.RequestURI(), request.Header.Get("Authorization") != ""))
		l.mutex.Unlock()
		next.ServeHTTP(writer, request)
	})
}

// received returns the requests since the last call.
func (l *tenants) received() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	received := l.requests
	l.requests = nil
	return received
}

// answer is what a tenant sees of a refused pull, and what the registry sees of it.
type answer struct {
	text     string
	requests []string
	took     time.Duration
}

// image returns an unsigned image that nobody has pulled, or a signed one of a number. Signed images are signed once,
// because that takes longest, and serve all refusals: the namespace that is refused reads none of them.
func (l *tenants) image(t *testing.T, signed bool, number int) node.Pushed {
	t.Helper()
	if !signed {
		return l.Push(t, fmt.Sprintf("shop/app-%d:v1", l.Number()))
	}
	if number == len(l.images) {
		l.images = append(l.images, l.signed(t, fmt.Sprintf("shop/signed-%d:v1", l.Number())))
	}
	return l.images[number]
}

func (l *tenants) pull(t *testing.T, namespace, reference string, auth *cri.AuthConfig) error {
	t.Helper()
	_, err := l.proxy.PullImage(t.Context(), reference, auth, &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Namespace: namespace, Name: "app", Uid: "1"},
	})
	return err
}

// refusal has a namespace that requires signatures pull an image, which must fail.
func (l *tenants) refusal(t *testing.T, image node.Pushed, reference string, auth *cri.AuthConfig) answer {
	t.Helper()
	l.received()
	start := time.Now()
	err := l.pull(t, prod, reference, auth)
	took := time.Since(start)
	if err == nil {
		t.Fatalf("%s was pulled", reference)
	}
	repository := strings.TrimPrefix(image.Repository, l.Registry.Host+"/")
	hidden := strings.NewReplacer(
		image.Repository, "REPOSITORY", repository, "REPOSITORY", url.QueryEscape(repository), "REPOSITORY",
		image.Digest.String(), "DIGEST", image.Digest.Encoded(), "DIGEST")
	got := answer{text: hidden.Replace(err.Error()), took: took}
	for _, request := range l.received() {
		if prefetch.MatchString(request) {
			continue
		}
		got.requests = append(got.requests, otherDigest.ReplaceAllString(hidden.Replace(request), "OTHER"))
	}
	// Requests for several sources of signatures are concurrent.
	slices.Sort(got.requests)
	return got
}

// prefetch is a request for signatures by the node itself, which has no credentials: it follows the pull of another
// namespace at any time.
var prefetch = regexp.MustCompile(`^countersign: \w+ \S+/(manifests/sha256-|referrers/)\S+, authorised false$`)

// otherDigest is the digest of something else than the image, such as its config.
var otherDigest = regexp.MustCompile(`[0-9a-f]{64}`)
