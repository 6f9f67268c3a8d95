package node_test

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/node"
)

const (
	ours  = `{"key":"node.countersign.dev/not-enforcing","effect":"NoSchedule"}`
	other = `{"key":"node.kubernetes.io/not-ready","effect":"NoExecute","timeAdded":"2026-01-02T03:04:05Z","new":1}`
)

// newServer returns an API server with one node, and what it is patched with. integration/kubernetes has a real one.
func newServer(t *testing.T, object string, answer int) (*node.APIServer, *string) {
	t.Helper()
	patched := new(string)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/api/v1/nodes/worker" || r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"kind":"Status","message":"nodes \"x\" is forbidden"}`)
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, object)
		case r.Header.Get("Content-Type") == "application/json-patch+json":
			body, _ := io.ReadAll(r.Body)
			*patched = string(body)
			w.WriteHeader(answer)
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	t.Cleanup(server.Close)
	credentials := t.TempDir()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, contents := range map[string]string{"ca.crt": string(authority), "token": "secret\n"} {
		if err := os.WriteFile(filepath.Join(credentials, name), []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(address.Host)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := node.OpenAPIServer(host, port, credentials)
	if err != nil {
		t.Fatal(err)
	}
	return opened, patched
}

func TestOnlyOurTaintIsRemoved(t *testing.T) {
	for name, c := range map[string]struct {
		taints, patch string
		removed       bool
	}{
		"a node without taints":   {taints: `null`},
		"a node with another one": {taints: `[` + other + `]`},
		"a node with ours": {
			taints: `[` + ours + `]`, removed: true,
			patch: `[{"op":"test","path":"/spec/taints","value":[` + ours + `]},{"op":"remove","path":"/spec/taints"}]`,
		},
		"a node with both": {
			taints: `[` + ours + `,` + other + `]`, removed: true,
			patch: `[{"op":"test","path":"/spec/taints","value":[` + ours + `,` + other + `]},` +
				`{"op":"replace","path":"/spec/taints","value":[` + other + `]}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, patched := newServer(t, `{"spec":{"taints":`+c.taints+`}}`, http.StatusOK)
			removed, err := server.RemoveTaint(t.Context(), "worker")
			if err != nil || removed != c.removed {
				t.Errorf("RemoveTaint returned %v, %v", removed, err)
			}
			if diff := cmp.Diff(decode(t, c.patch), decode(t, *patched)); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
		})
	}
}

func decode(t *testing.T, text string) (value any) {
	t.Helper()
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestATaintThatCannotBeRemovedIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		node, object, want string
	}{
		"the list has changed meanwhile": {"worker", `{"spec":{"taints":[` + ours + `]}}`, "422"},
		"the node may not be read":       {"other", `{}`, `nodes "x" is forbidden`},
		"the answer is no node":          {"worker", `<html>`, "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := newServer(t, c.object, http.StatusUnprocessableEntity)
			_, err := server.RemoveTaint(t.Context(), c.node)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.node) {
				t.Errorf("RemoveTaint returned %v, want an error about %s", err, c.want)
			}
		})
	}
}

func TestOutsideOfAPodThereIsNoAPIServer(t *testing.T) {
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "ca.crt"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ host, credentials, want string }{
		"no address":     {"", broken, "not a pod"},
		"no credentials": {"10.96.0.1", t.TempDir(), "no such file"},
		"no certificate": {"10.96.0.1", broken, "has no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := node.OpenAPIServer(c.host, "443", c.credentials); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("OpenAPIServer returned %v, want an error about %s", err, c.want)
			}
		})
	}
}
