package kubernetes_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestManyPolicies measures an agent with as many policies in as many namespaces as the environment variable
// COUNTERSIGN_AGENT_POLICIES says, and what the statuses of COUNTERSIGN_AGENT_NODES nodes cost; docs/kubernetes.md has
// the figures for 5,000. It compares the memory with its bound.
func TestManyPolicies(t *testing.T) {
	t.Parallel()
	count := setting(t, "COUNTERSIGN_AGENT_POLICIES")
	f := newFleet(t)
	for _, a := range f.agents {
		a.process.Kill()
	}
	a := f.agents[1]
	path := filepath.Join(t.TempDir(), "objects.json")
	rig.OK(t, os.WriteFile(path, manyPolicies(t, count), 0o600))
	f.kubectl(t, "create", "-f", path)
	f.apply(t, rejecting("", "guard"))

	begun := time.Now()
	f.start(t, a)
	f.documents(t, a, count)
	cold := time.Since(begun)
	begun = time.Now()
	f.apply(t, rejecting("many-0", "one"))
	applied := time.Now()
	rig.Eventually(t, "one change", func() error {
		document, err := a.governing("many-0")
		if err == nil && scopesIn(document) != "guard one" {
			err = fmt.Errorf("the namespace is governed by %q", scopesIn(document))
		}
		return err
	})
	t.Logf("%d policies in %d namespaces: on disk after %v; one change: %v after the API server had it, which took %v",
		count, count, cold.Round(time.Millisecond), time.Since(applied).Round(time.Millisecond),
		applied.Sub(begun).Round(time.Millisecond))
	begun = time.Now()
	f.apply(t, rejecting("", "two"))
	rig.OK(t, node.Until(t.Context(), "a change of all documents", func(context.Context) error {
		document, err := a.governing("other")
		if err == nil && scopesIn(document) != "guard two" {
			err = fmt.Errorf("namespaces without a document are governed by %q", scopesIn(document))
		}
		return err
	}))
	t.Logf("a policy of the cluster, in every document: after %v", time.Since(begun).Round(time.Millisecond))
	resident, peak := memory(t, a)
	t.Logf("the agent has %d MiB of memory, and had at most %d MiB", resident, peak)
	if peak > 150 {
		t.Errorf("the agent had %d MiB of memory, want at most 150", peak)
	}
	f.manyNodes(t, a, setting(t, "COUNTERSIGN_AGENT_NODES"))
}

// setting returns the number in an environment variable, or a small one.
func setting(t *testing.T, name string) int {
	t.Helper()
	if text := os.Getenv(name); text != "" {
		return rig.Must(strconv.Atoi(text))(t)
	}
	return 100
}

// documents waits until an agent has written a number of documents, besides those that were there.
func (f *fleet) documents(t *testing.T, a *agent, count int) {
	t.Helper()
	rig.OK(t, node.Until(t.Context(), "all documents", func(context.Context) error {
		paths, err := filepath.Glob(filepath.Join(a.directory, "many-*.json"))
		if err == nil && len(paths) < count {
			err = fmt.Errorf("there are %d of %d", len(paths), count)
		}
		if _, missing := os.Stat(a.cluster); err == nil {
			err = missing
		}
		return err
	}))
}

// manyPolicies returns namespaces, each with a policy with ten scopes and a key of its own.
func manyPolicies(t *testing.T, count int) []byte {
	t.Helper()
	var items []any
	for i := range count {
		namespace := fmt.Sprintf("many-%d", i)
		items = append(items, kubernetes.Namespace(namespace))
		key := rig.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
		der := rig.Must(x509.MarshalPKIXPublicKey(&key.PublicKey))(t)
		encoded := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		var scopes []string
		for scope := range 10 {
			scopes = append(scopes, fmt.Sprintf("registry.example/team-%d/app-%d", i, scope))
		}
		policy := imagePolicy(rooted("PublicKey", "publicKey", object{"keyData": encoded}), scopes...)
		policy["metadata"] = object{"name": "policy", "namespace": namespace}
		items = append(items, policy)
	}
	return rig.Must(json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": items}))(t)
}

// memory returns how many MiB of memory a process has, and the most that it had.
func memory(t *testing.T, a *agent) (resident, peak int) {
	t.Helper()
	status := rig.Must(os.ReadFile(fmt.Sprintf("/proc/%d/status", a.process.Pid())))(t)
	field := func(name string) int {
		_, rest, ok := bytes.Cut(status, []byte(name+":"))
		if !ok {
			t.Fatal(errors.New("the kernel does not say " + name))
		}
		return rig.Must(strconv.Atoi(strings.Fields(string(rest))[0]))(t) >> 10
	}
	return field("VmRSS"), field("VmHWM")
}
