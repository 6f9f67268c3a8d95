package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Taint is the key of the taint that a new node registers with, so that no pod starts there before its images are
// decided.
const Taint = "node.countersign.dev/not-enforcing"

// maxAnswer limits an answer of the API server. A node with 100 images in its status has some 50 KiB.
const maxAnswer = 16 << 20

// APIServer is the API server as a pod reaches it.
type APIServer struct {
	url         string
	credentials string
	client      *http.Client
}

// OpenAPIServer returns the API server of a cluster. credentials is the directory of the pod's service account.
func OpenAPIServer(host, port, credentials string) (*APIServer, error) {
	if host == "" || port == "" {
		return nil, errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is not a pod")
	}
	authority, err := os.ReadFile(filepath.Join(credentials, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s has no certificate", filepath.Join(credentials, "ca.crt"))
	}
	return &APIServer{
		url: "https://" + net.JoinHostPort(host, port), credentials: credentials,
		client: &http.Client{
			Timeout:   30 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		},
	}, nil
}

// RemoveTaint removes the taint from a node. It reports whether the node had it.
func (s *APIServer) RemoveTaint(ctx context.Context, node string) (bool, error) {
	removed, err := s.removeTaint(ctx, node)
	if err != nil {
		return false, fmt.Errorf("removing the taint %s from node %s: %w", Taint, node, err)
	}
	return removed, nil
}

func (s *APIServer) removeTaint(ctx context.Context, node string) (bool, error) {
	text, err := s.call(ctx, http.MethodGet, node, nil)
	if err != nil {
		return false, err
	}
	var object struct {
		Spec struct {
			// The fields that we do not know are passed on.
			Taints []map[string]any `json:"taints"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(text, &object); err != nil {
		return false, err
	}
	var remaining []map[string]any
	for _, taint := range object.Spec.Taints {
		if taint["key"] != Taint {
			remaining = append(remaining, taint)
		}
	}
	if len(remaining) == len(object.Spec.Taints) {
		return false, nil
	}
	// Somebody may change the list at the same time: then the test fails, and the caller tries again.
	patch := []map[string]any{{"op": "test", "path": "/spec/taints", "value": object.Spec.Taints}}
	if remaining == nil {
		patch = append(patch, map[string]any{"op": "remove", "path": "/spec/taints"})
	} else {
		patch = append(patch, map[string]any{"op": "replace", "path": "/spec/taints", "value": remaining})
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return false, err
	}
	_, err = s.call(ctx, http.MethodPatch, node, body)
	return err == nil, err
}

// call asks for a node, or changes it.
func (s *APIServer) call(ctx context.Context, method, node string, body []byte) ([]byte, error) {
	// The kubelet replaces the token before it expires.
	token, err := os.ReadFile(filepath.Join(s.credentials, "token"))
	if err != nil {
		return nil, err
	}
	address := s.url + "/api/v1/nodes/" + url.PathEscape(node)
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json-patch+json")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the API server answers %s: %s", response.Status, reason(text))
	}
	return text, nil
}

// reason returns the message of an error of the API server.
func reason(text []byte) string {
	var status struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(text, &status); err != nil || status.Message == "" {
		return "without a reason"
	}
	return status.Message
}
