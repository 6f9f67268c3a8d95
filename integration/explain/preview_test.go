package explain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// previews returns how many random policies are previewed and then made.
func previews(t *testing.T) int {
	t.Helper()
	if rounds := os.Getenv("COUNTERSIGN_PREVIEW_ROUNDS"); rounds != "" {
		return rig.Must(strconv.Atoi(rounds))(t)
	}
	return 12
}

// taken is what tests read of the JSON of inventory.
type taken struct {
	Images []struct {
		Reference, Config string
		Verdicts          []struct {
			Namespaces []string
			Reason     string
			After      *struct{ Reason string }
		}
	}
	Running []struct {
		Namespace, Pod, Container, Reference, Config string
		After                                        *struct{ Reason string }
	}
}

// question is what is asked about an image in a namespace.
type question struct {
	Namespace string `json:"namespace"`
	Reference string `json:"reference"`
	Config    string `json:"config"`
}

// preview previews random policies with inventory, and then makes them: the daemon decides exactly as predicted, about
// every image in every namespace, and about what runs.
func (l *lab) preview(t *testing.T) {
	images := []node.Pushed{
		l.signed(t, "preview/signed:v1"), l.Push(t, "preview/unsigned:v1"),
		l.signedBy(t, "preview/other-key:v1", l.other), l.byIdentity(t, "preview/built:v1", builder, true),
	}
	references := []string{}
	for _, image := range images {
		l.Pull(t, image)
		references = append(references, image.Reference)
	}
	for _, namespace := range []string{prod, loose, builds} {
		l.require(t, namespace, node.Accept())
		l.Begin(t, namespace, images[0])
	}
	rig.Must(l.Evidence(t, append([]string{"fetch"}, references...)...))(t)
	random := rand.New(rand.NewPCG(1, 1))
	requirements := []node.Requirement{
		node.Accept(), node.Reject(), node.Cosign(l.Key.Public), node.Cosign(l.other.Public),
		l.sigstore.Requirement(t, builder),
	}
	compared, changing := 0, []string{prod, loose, builds, exact, forbidden}
	for round := range previews(t) {
		next := t.TempDir()
		documents := map[string]string{}
		for _, namespace := range changing {
			documents[namespace] = randomDocument(random, requirements, references)
		}
		if round%4 == 3 {
			documents[forbidden] = "{"
		}
		system := randomDocument(random, requirements, references)
		for namespace, document := range documents {
			rig.OK(t, os.WriteFile(filepath.Join(next, namespace+".json"), []byte(document), 0o600))
		}
		rig.OK(t, os.WriteFile(filepath.Join(next, "system"), []byte(system), 0o600))
		predicted := l.predicted(t, "--policy-dir", next, "--system-policy", filepath.Join(next, "system"))
		for namespace, document := range documents {
			if namespace != forbidden || document != "{" { // A broken document has an earlier version here.
				rig.OK(t, l.WritePolicy(namespace, document))
			}
		}
		rig.OK(t, l.WritePolicy("", system))
		l.awaitPolicies(t, round)
		for _, q := range slices.SortedFunc(maps.Keys(predicted), func(a, b question) int {
			return strings.Compare(a.Namespace+a.Reference+a.Config, b.Namespace+b.Reference+b.Config)
		}) {
			if !slices.Contains(changing, q.Namespace) || !strings.Contains(q.Reference, "/preview/") {
				continue // The images of other tests have registries that do not answer.
			}
			if q.Namespace == forbidden && documents[forbidden] == "{" {
				continue
			}
			compared++
			if got := l.decided(t, q); got != predicted[q] {
				t.Errorf("round %d: %v is %s, predicted %s", round, q, got, predicted[q])
			}
		}
	}
	t.Logf("%d verdicts were predicted in %d rounds", compared, previews(t))
}

func randomDocument(random *rand.Rand, requirements []node.Requirement, references []string) string {
	document := node.Policy{Default: requirements[random.IntN(len(requirements))], Scopes: map[string]node.Requirement{}}
	for _, reference := range references {
		scopes := []string{
			reference, reference[:strings.LastIndexByte(reference, ':')], reference[:strings.IndexByte(reference, '/')],
		}
		if random.IntN(2) == 0 {
			document.Scopes[scopes[random.IntN(3)]] = requirements[random.IntN(len(requirements))]
		}
	}
	return document.JSON()
}

// predicted runs inventory with other policies, and returns the reasons that it predicts.
func (l *lab) predicted(t *testing.T, arguments ...string) map[question]string {
	t.Helper()
	arguments = append([]string{"inventory", "--config", l.Daemon.ConfigFile(), "-o", "json"}, arguments...)
	output, err := exec.CommandContext(t.Context(), l.Program, arguments...).Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var parsed taken
	if err := json.Unmarshal(output, &parsed); err != nil {
		t.Fatalf("inventory prints %s: %v", output, err)
	}
	found := map[question]string{}
	for _, image := range parsed.Images {
		for _, verdict := range image.Verdicts {
			for _, namespace := range verdict.Namespaces {
				found[question{namespace, image.Reference, image.Config}] = verdict.After.Reason
			}
		}
	}
	for _, container := range parsed.Running {
		found[question{container.Namespace, container.Reference, container.Config}] = container.After.Reason
	}
	return found
}

// awaitPolicies waits until the policies are in force that were written before.
func (l *lab) awaitPolicies(t *testing.T, round int) {
	t.Helper()
	want := map[bool]string{true: "accepted", false: "rejected"}[round%2 == 0]
	requirement := map[bool]node.Requirement{true: node.Accept(), false: node.Reject()}[round%2 == 0]
	l.require(t, "probe", requirement)
	image := rig.Must(l.CRI.ImageID(t.Context(), l.Registry.Host+"/preview/signed:v1"))(t)
	rig.Eventually(t, "the policies to be in force", func() error {
		if got := l.decided(t, question{"probe", l.Registry.Host + "/preview/signed:v1", image}); got != want {
			return fmt.Errorf("the probe is %s", got)
		}
		return nil
	})
}

// decided asks the daemon at its socket, as check does.
func (l *lab) decided(t *testing.T, q question) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", l.Daemon.Socket())
		},
	}}
	body := rig.Must(json.Marshal(q))(t)
	request := rig.Must(http.NewRequestWithContext(t.Context(), http.MethodPost, "http://countersign/v1/check",
		bytes.NewReader(body)))(t)
	response, err := client.Do(request)
	rig.OK(t, err)
	defer response.Body.Close()
	raw := rig.Must(io.ReadAll(response.Body))(t)
	var answer struct{ Reason string }
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Reason == "" {
		t.Fatalf("the daemon answers %s: %v", raw, err)
	}
	return answer.Reason
}
