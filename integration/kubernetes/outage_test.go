package kubernetes_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

const (
	// outageLasts is the shortest time of an outage.
	outageLasts = time.Minute
	// outageRequests is how many requests of each agent have to fail in it.
	outageRequests = 8
)

// outage takes the API server away for a minute. The agent of the first node goes on, and the other one is killed and
// started again, twice. In all this time, no document changes, and containers are admitted and refused as before.
func (f *fleet) outage(t *testing.T) {
	t.Helper()
	f.apply(t, rejecting(team, "one"), f.signedInTeam(t))
	f.obey(t, "policies before an outage", map[string]string{team: "guard one"})
	signed, unsigned := f.signed(t, "outage/signed:v1"), f.Push(t, "outage/unsigned:v1")
	rig.Eventually(t, "the policy for signed images", func() error { return f.governs(team, f.Registry.Host+"/outage") })
	// The kubelet would remove the pods that it does not know.
	rig.OK(t, f.cluster.StopKubelet(t.Context()))
	f.decides(t, signed, unsigned)

	stop := f.watchDocuments(t)
	defer stop()
	rig.OK(t, f.cluster.StopControlPlane(kubernetes.APIServer))
	begun, pods := time.Now(), 0
	kill := func(a *agent) {
		a.process.Kill()
		f.start(t, a)
	}
	kill(f.agents[1])
	f.during(t, &pods, signed, unsigned, func() error { return f.failed(t, begun, outageLasts/2) })
	kill(f.agents[1])
	f.during(t, &pods, signed, unsigned, func() error { return f.failed(t, begun, outageLasts) })
	stop()
	t.Logf("in %v without an API server, %d containers were decided", time.Since(begun).Round(time.Second), pods)

	rig.OK(t, f.cluster.StartControlPlane(t.Context(), kubernetes.APIServer))
	f.apply(t, rejecting(team, "two"))
	f.obey(t, "a policy after the outage", map[string]string{team: "guard one two"})
	f.kubectl(t, "-n", team, "delete", "imagepolicy", "two", "signed", "refused")
	f.obey(t, "a deletion after the outage", map[string]string{team: "guard one"})
	rig.OK(t, f.cluster.StartKubelet(t.Context()))
	rig.OK(t, f.cluster.Ready(t.Context()))
}

// signedInTeam returns a policy that requires signatures in a repository.
func (f *fleet) signedInTeam(t *testing.T) object {
	t.Helper()
	key := base64.StdEncoding.EncodeToString(rig.Must(os.ReadFile(f.Key.Public))(t))
	rules := rooted("PublicKey", "publicKey", object{"keyData": key})
	rules["signedIdentity"] = object{"matchPolicy": "MatchRepository"}
	policy := imagePolicy(rules, f.Registry.Host+"/outage")
	policy["metadata"] = object{"name": "signed", "namespace": team}
	return policy
}

// governs returns an error unless the document of a namespace on the first node has a scope.
func (f *fleet) governs(namespace, scope string) error {
	document, err := f.agents[0].governing(namespace)
	if err == nil && !strings.Contains(document, `"`+scope+`"`) {
		err = fmt.Errorf("it does not have the scope %s", scope)
	}
	return err
}

// decides creates containers of a signed and of an unsigned image, as the kubelet does.
func (f *fleet) decides(t *testing.T, signed, unsigned node.Pushed) {
	t.Helper()
	f.BecomesRunnable(t, team, signed)
	f.Refused(t, team, unsigned, "unsigned")
	f.BecomesRunnable(t, "other", unsigned)
}

// during has containers decided until there is no error.
func (f *fleet) during(t *testing.T, pods *int, signed, unsigned node.Pushed, until func() error) {
	t.Helper()
	rig.OK(t, node.Until(t.Context(), "agents to fail for long enough", func(context.Context) error {
		f.decides(t, signed, unsigned)
		*pods += 3
		return until()
	}))
}

var failedRequests = regexp.MustCompile(`(?m)^rest_client_requests_total\{code="<error>".* (\d+)$`)

// failed returns an error until the outage has lasted for some time, and requests of every agent have failed since it
// was started.
func (f *fleet) failed(t *testing.T, begun time.Time, lasts time.Duration) error {
	t.Helper()
	if lasted := time.Since(begun); lasted < lasts {
		return fmt.Errorf("it has lasted %v", lasted)
	}
	for _, a := range f.agents {
		text, err := node.Get(t.Context(), a.metrics)
		if err != nil {
			return err
		}
		failed := 0
		for _, found := range failedRequests.FindAllStringSubmatch(text, -1) {
			failed += rig.Must(strconv.Atoi(found[1]))(t)
		}
		if failed < outageRequests {
			return fmt.Errorf("%d requests of the agent of %s have failed", failed, a.name)
		}
	}
	return nil
}

// documents returns all documents of an agent by path.
func (a *agent) documents() (map[string][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(a.directory, "*"))
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, path := range append(paths, a.cluster) {
		if all[path], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// watchDocuments checks all the time that no document changes, and none comes or goes. It ends with the returned
// function.
func (f *fleet) watchDocuments(t *testing.T) (stop func()) {
	t.Helper()
	before := make([]map[string][]byte, len(f.agents))
	for i, a := range f.agents {
		before[i] = rig.Must(a.documents())(t)
	}
	return watch(t, "the documents are the same", func() error {
		for i, a := range f.agents {
			now, err := a.documents()
			if err != nil {
				return fmt.Errorf("reading the documents on %s: %w", a.name, err)
			}
			if !maps.EqualFunc(before[i], now, bytes.Equal) {
				return fmt.Errorf("on %s, the documents are %q; before, they were %q", a.name, now, before[i])
			}
		}
		return nil
	})
}
