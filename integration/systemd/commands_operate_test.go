package systemd_test

import "testing"

// operating are the commands on a node that enforces.
func operating() []phase {
	unsigned := func(t *testing.T, s *site) { t.Helper(); s.refused(t, nobodys, "(unsigned)") }
	return []phase{
		{
			name: "asking",
			prepare: func(t *testing.T, s *site) {
				t.Helper()
				s.write(t, "/etc/countersign/policies/dev.json", `{"default": [{"type": "insecureAcceptAnything"}]}`)
				s.starts(t, "prod", app)
				s.starts(t, "dev", nobodys)
				unsigned(t, s)
			},
			lines: []documented{
				{line: "countersign doctor --no-canaries", status: 2, says: []string{"yes      required"}},
				{line: "countersign doctor --skip clock", says: []string{"yes      canary_refused"}},
				{
					line: `countersign doctor -o json | jq -r '.checks[] | select(.status != "yes") | .check + ": " + .remedy'`,
					says: []string{"clock: "}, status: 2,
				},
				{line: "curl -s 127.0.0.1:9470/readyz", says: []string{"registered"}},
				{line: "curl -s 127.0.0.1:9470/metrics | grep ^countersign_", says: []string{`reason="unsigned"`}},
				{line: "countersign audit --follow --denied", says: []string{nobodys}, follows: unsigned},
				{line: "countersign audit --follow", says: []string{nobodys}, follows: unsigned},
				{
					line: `journalctl -u countersign -o cat | jq -R 'fromjson? | select(.outcome=="deny" or .would_deny)'`,
					says: []string{`"reason": "unsigned"`},
				},
				{line: "countersign audit --since 1h", says: []string{nobodys, app}},
				{line: "countersign audit --denied --namespace prod", says: []string{nobodys}},
				{
					line: "countersign audit --since 24h -o json | jq -r .reason | sort | uniq -c",
					says: []string{" unsigned\n", " accepted\n"},
				},
				{
					line: "countersign explain NAMESPACE/POD", with: []string{"NAMESPACE/POD", "prod/pod"},
					status: 1, says: []string{"(unsigned)"},
				},
				{
					line: "countersign explain -n NAMESPACE REFERENCE",
					with: []string{"NAMESPACE", "prod", "REFERENCE", app}, says: []string{"(accepted)"},
				},
				{line: "countersign evidence list", says: []string{repository}},
				{line: "countersign check -n prod registry.example/prod/app:v1", says: []string{"accepted"}},
			},
		},
		{
			name: "policies",
			prepare: func(t *testing.T, s *site) {
				t.Helper()
				for _, directory := range []string{"", "/node/etc/containers", "/node/etc/countersign/policies"} {
					s.shell(t, "mkdir -p ."+directory)
				}
				s.write(t, workplace+"/policy.json", `{"default": [{"type": "reject"}]}`)
				s.shell(t, "mkdir policies && cp conf/policies/prod.json policies && cp policy.json node/etc/containers && "+
					"cp policies/* node/etc/countersign/policies && cp -r --parents /etc/countersign/keys node")
			},
			lines: []documented{
				{line: "countersign inventory", says: []string{app, nobodys}},
				{
					line: "countersign inventory --policy-dir ./policies --system-policy ./policy.json",
					says: []string{"dev", nobodys, "denied (rejected)"},
				},
				{
					line: "countersign policy check --root ./node ./node/etc/countersign/policies ./node/etc/containers/policy.json",
					says: []string{"prod.json"},
				},
				{
					line: "countersign policy show -n prod --policy-dir ./policies --system-policy ./policy.json " + app,
					says: []string{"registry.example/prod"},
				},
				{
					line:   "countersign check -n prod --policy-dir ./policies --system-policy ./policy.json --image oci:./app " + app,
					before: "cosign save --dir ./app " + app, says: []string{"accepted"},
				},
			},
		},
		{
			name: "carrying",
			lines: []documented{
				{line: "countersign evidence fetch $REPOSITORY:$TAG", says: []string{app}},
				{line: "countersign evidence export $REPOSITORY:$TAG -o app-evidence.tar", after: "test -s app-evidence.tar"},
				{line: "ctr images pull $REPOSITORY:$TAG"},
				{line: "ctr images export --local app-image.tar $REPOSITORY:$TAG", after: "test -s app-image.tar"},
				{line: "countersign evidence import app-evidence.tar", says: []string{"3 bundles of 1 manifest"}},
				{line: "ctr -n k8s.io images import app-image.tar", says: []string{app}},
				{line: "countersign check -n prod $REPOSITORY:$TAG", says: []string{"accepted"}},
			},
		},
	}
}

// runElsewhere are the lines that do not run here, and why, by the test that runs them.
func runElsewhere() map[string]string {
	const (
		keyless = "it asks the public Sigstore: integration/keyless signs with real servers of a log"
		chart   = "it needs a cluster: scripts/kind.sh, and integration/kubernetes for the objects of the chart"
		pods    = "it needs a cluster: integration/kubernetes shows the events of refused pods"
	)
	return map[string]string{
		"cosign sign -a docker-reference=$REPOSITORY $REPOSITORY@sha256:…":                                     keyless,
		"cosign trusted-root create --with-default-services --out root.json":                                   keyless,
		"cosign trusted-root create --with-default-services --out trusted_root.json":                           keyless,
		"kubectl create namespace countersign-system":                                                          chart,
		"kubectl label namespace countersign-system pod-security.kubernetes.io/enforce=privileged":             chart,
		"helm install countersign conf/chart --namespace countersign-system":                                   chart,
		"kubectl --namespace countersign-system rollout status daemonset/countersign-installer":                chart,
		"helm upgrade countersign conf/chart --namespace countersign-system --reuse-values --set mode=enforce": chart,
		"kubectl run app --namespace prod --image registry.k8s.io/pause:3.10":                                  pods,
		"kubectl describe pod app --namespace prod":                                                            pods,
		"sudo make demo":                 "it needs a checkout: it is run by hand before a release",
		"sudo make demo-kubernetes":      "it needs a checkout: it is run by hand before a release",
		"sudo make test":                 "it runs this test",
		"sudo dpkg -i countersign-*.deb": "TestThePackages installs the packages of a release",
	}
}
