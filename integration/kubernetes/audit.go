package kubernetes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// auditPolicy has the API server log requests of service accounts. A watch is logged when it begins, too.
const auditPolicy = `{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}]}`

// Request is a request in the audit log of the API server.
type Request struct {
	// Account is the service account, as NAMESPACE:NAME, and Client the program that has sent the request.
	Account, Client string
	// Verb and what follows are what RBAC authorises. Resource includes a subresource: imagepolicies/status. It is empty
	// for other URLs.
	Verb, Group, Resource, Namespace, Name string
	// Allowed reports whether RBAC has allowed it, and Reason by which role.
	Allowed bool
	Reason  string
}

// Requests returns the requests of service accounts. The cluster must have RBAC.
func (c *Cluster) Requests() ([]Request, error) {
	text, err := os.ReadFile(c.Log("audit"))
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	var requests []Request
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // The API server writes it at this moment.
		}
		var event struct {
			Verb, UserAgent string
			User            struct{ Username string }
			ObjectRef       struct{ Resource, Subresource, Namespace, Name, APIGroup string }
			Annotations     map[string]string
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("reading a line of the audit log: %w", err)
		}
		about := event.ObjectRef
		requests = append(requests, Request{
			Account: strings.TrimPrefix(event.User.Username, "system:serviceaccount:"), Client: event.UserAgent,
			Verb: event.Verb, Group: about.APIGroup, Resource: strings.Trim(about.Resource+"/"+about.Subresource, "/"),
			Namespace: about.Namespace, Name: about.Name,
			Allowed: event.Annotations["authorization.k8s.io/decision"] == "allow",
			Reason:  event.Annotations["authorization.k8s.io/reason"],
		})
	}
	return requests, nil
}
