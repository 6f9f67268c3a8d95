package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// permission is one verb for one resource. It is for all names and namespaces, unless it has one.
type permission struct{ verb, group, resource, name, namespace string }

// covers reports whether a request needs the permission.
func (p permission) covers(r kubernetes.Request) bool {
	return p.verb == r.Verb && p.group == r.Group && p.resource == r.Resource &&
		(p.name == "" || p.name == r.Name) && (p.namespace == "" || p.namespace == r.Namespace)
}

// permissions checks what the agents were allowed, and what they have used.
func (f *fleet) permissions(t *testing.T) {
	t.Helper()
	f.uses(t, agentAccount, map[permission]string{
		{verb: "delete", group: "wgpolicyk8s.io", resource: "policyreports"}: "a report is deleted an hour after the last " +
			"refusal in its namespace",
		{verb: "update", group: "wgpolicyk8s.io", resource: "policyreports"}: "a report is updated at most every 30 to 60 " +
			"seconds, after another refusal",
	})
}

// uses checks that the roles of a service account of the chart allow all of its requests, and waits until it has used
// every permission, but for those that are listed with a reason.
func (l *lab) uses(t *testing.T, account string, except map[permission]string) {
	t.Helper()
	granted := l.granted(t, account)
	var requests int
	err := node.Until(t.Context(), account+" to use all of its permissions", func(context.Context) error {
		used, count, err := l.used(account, granted)
		if err != nil {
			return err
		}
		requests = count
		var problems []error
		for p := range granted {
			if _, listed := except[p]; !used[p] && !listed {
				problems = append(problems, fmt.Errorf("%+v is not used", p))
			}
		}
		return errors.Join(problems...)
	})
	for p := range except {
		if !granted[p] {
			t.Errorf("%s does not have the permission %+v", account, p)
		}
	}
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d requests of %s used %d of %d permissions", requests, account, len(granted)-len(except), len(granted))
}

// granted returns the permissions of a service account of the chart.
func (l *lab) granted(t *testing.T, account string) map[permission]bool {
	t.Helper()
	granted := map[permission]bool{}
	for kind, namespace := range map[string]string{"clusterrole": "", "role": chartNamespace} {
		text := rig.Must(l.cluster.Kubectl(t.Context(), "-n", chartNamespace, "get", kind, account, "--ignore-not-found",
			"-o", "json"))(t)
		var role struct {
			Rules []struct{ APIGroups, Resources, ResourceNames, Verbs []string }
		}
		if text != "" {
			rig.OK(t, json.Unmarshal([]byte(text), &role))
		}
		for _, rule := range role.Rules {
			names := rule.ResourceNames
			if names == nil {
				names = []string{""}
			}
			for _, verb := range rule.Verbs {
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						for _, name := range names {
							granted[permission{verb, group, resource, name, namespace}] = true
						}
					}
				}
			}
		}
	}
	return granted
}

// used returns which of the permissions a service account has used, and how many requests it has made. It is an error
// if a request was not allowed, or by another role.
func (l *lab) used(account string, granted map[permission]bool) (map[permission]bool, int, error) {
	requests, err := l.cluster.Requests()
	used, count, wrong := map[permission]bool{}, 0, map[string]bool{}
	for _, request := range requests {
		// Tests use the account with kubectl, too.
		if request.Account != chartNamespace+":"+account || strings.HasPrefix(request.Client, "kubectl") {
			continue
		}
		count++
		var needed bool
		for p := range granted {
			needed = needed || p.covers(request)
			used[p] = used[p] || request.Allowed && p.covers(request)
		}
		// In its first seconds the API server refuses what the roles allow, because it has not read them yet.
		if !needed && request.Resource != "" || request.Allowed && !byRole(request, account) {
			wrong[fmt.Sprintf("%+v", request)] = true
		}
	}
	for text := range maps.Keys(wrong) {
		err = errors.Join(err, fmt.Errorf("the roles of the chart do not allow %s", text))
	}
	return used, count, err
}

// byRole reports whether a role of the account has allowed the request. URLs that are no resources are allowed to
// everybody.
func byRole(request kubernetes.Request, account string) bool {
	return request.Resource == "" || strings.Contains(request.Reason, `Role "`+account+`"`)
}
