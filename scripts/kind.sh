#!/usr/bin/env bash
# kind.sh: creates a kind cluster of two nodes, installs countersign with its chart, signs an image, and shows what
# happens to a signed and to an unsigned image, also after the nodes are restarted. Then it removes everything.
#
#   scripts/kind.sh              needs docker, kind, kubectl, helm, cosign and Go
#   KEEP=true scripts/kind.sh    leaves the cluster: kubectl --context kind-countersign
#
# NODE_IMAGE, REGISTRY_IMAGE and APP_IMAGE replace images, for machines that cannot pull them; APP_IMAGE has to run without
# arguments. CONFIG names a file with more of kind's configuration, VALUES one with more values of the chart. WITH_NODES is
# a program that is run once the nodes exist, and AFTER_STORY one that is run before the removal. WAIT is how long a step
# may take.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cluster=countersign
registry=$cluster-registry
port=${PORT:-5001}
repository=localhost:$port/shop
namespace=countersign-system
wait=${WAIT:-5m}

for program in docker kind kubectl helm cosign go; do
	if ! command -v "$program" >/dev/null; then
		echo "kind.sh: there is no program $program in PATH" >&2
		exit 2
	fi
done
if kind get clusters 2>/dev/null | grep -qx "$cluster"; then
	echo "kind.sh: there is a cluster $cluster: kind delete cluster --name $cluster" >&2
	exit 2
fi

work=$(mktemp -d)
export KUBECONFIG=$work/kubeconfig
remove() {
	status=$?
	if [ "$status" -ne 0 ] && [ -s "$KUBECONFIG" ]; then
		echo "== failed; what there is:"
		kubectl get nodes,pods -A -o wide || true
		kubectl -n "$namespace" logs --all-containers --prefix --tail=20 -l app.kubernetes.io/name=countersign || true
		if [ -n "${ON_FAILURE-}" ]; then "$ON_FAILURE" || true; fi
	fi
	if [ -z "${KEEP-}" ]; then
		kind delete cluster --name "$cluster" || true
		docker rm --force --volumes "$registry" >/dev/null || true
		rm -rf "$work"
	fi
	exit "$status"
}
trap remove EXIT

say() { printf '\n== %s\n' "$*"; }
show() {
	printf '$ %s\n' "$*"
	"$@"
}

say "an image of countersign, without a registry"
IMAGE=$work/image NAME=localhost/countersign:kind ARCHITECTURES=$(go env GOARCH) scripts/image.sh
tar -C "$work/image" -cf "$work/image.tar" .

say "a cluster of two nodes; pods stay off the worker until countersign runs there"
mkdir -p "$work/certs.d/localhost:$port"
cat >"$work/certs.d/localhost:$port/hosts.toml" <<-TOML
	server = "http://$registry:5000"
TOML
cat >"$work/cluster.yaml" <<-YAML
	kind: Cluster
	apiVersion: kind.x-k8s.io/v1alpha4
	nodes:
	  - role: control-plane
	    extraMounts: [{hostPath: "$work/certs.d", containerPath: /etc/containerd/certs.d}]
	  - role: worker
	    extraMounts: [{hostPath: "$work/certs.d", containerPath: /etc/containerd/certs.d}]
	    kubeadmConfigPatches:
	      - |
	        kind: JoinConfiguration
	        nodeRegistration:
	          taints: [{key: node.countersign.dev/not-enforcing, effect: NoSchedule}]
YAML
if [ -n "${CONFIG-}" ]; then cat "$CONFIG" >>"$work/cluster.yaml"; fi
kind create cluster --name "$cluster" --config "$work/cluster.yaml" --kubeconfig "$KUBECONFIG" ${NODE_IMAGE:+--image "$NODE_IMAGE"}
if [ -n "${WITH_NODES-}" ]; then "$WITH_NODES"; fi
kubectl wait --for=condition=Ready --timeout="$wait" node --all
mapfile -t nodes < <(kind get nodes --name "$cluster")

say "a registry that the nodes can reach"
docker run --detach --restart=always --name "$registry" --publish "127.0.0.1:$port:5000" "${REGISTRY_IMAGE:-registry:3}" >/dev/null
docker network connect kind "$registry"

say "two images: one is signed, the other one is not"
for name in signed unsigned; do
	printf 'FROM %s\nLABEL name=%s\n' "${APP_IMAGE:-registry.k8s.io/pause:3.10}" "$name" | docker build --quiet --tag "$repository:$name" - >/dev/null
	docker push --quiet "$repository:$name"
done
export COSIGN_PASSWORD=
cosign generate-key-pair --output-key-prefix "$work/key"
digest=$(docker image inspect --format '{{index .RepoDigests 0}}' "$repository:signed")
cosign sign --yes --key "$work/key.key" --tlog-upload=false --use-signing-config=false --new-bundle-format=false "$digest"

say "countersign on every node"
for node in "${nodes[@]}"; do
	docker exec -i "$node" ctr --namespace k8s.io images import --all-platforms - <"$work/image.tar"
done
kubectl create namespace "$namespace"
kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=privileged
cat >"$work/values.yaml" <<-YAML
	mode: enforce
	image: {repository: localhost/countersign, tag: kind, pullPolicy: Never}
	# Whatever no ImagePolicy governs may run.
	systemPolicy: {default: [{type: insecureAcceptAnything}]}
	# No time service runs in a node that is a container, and kind has containerd pull without image verifiers.
	installer: {doctorSkip: [clock, transfer_service]}
YAML
chart() { helm upgrade --install countersign conf/chart --namespace "$namespace" --values "$work/values.yaml" ${VALUES:+--values "$VALUES"} "$@"; }
show chart
show kubectl --namespace "$namespace" rollout status --timeout="$wait" daemonset/countersign-installer
show kubectl --namespace "$namespace" rollout status --timeout="$wait" daemonset/countersign-agent
show kubectl get nodes -o custom-columns='NAME:.metadata.name,TAINTS:.spec.taints[*].key'

say "namespace prod requires a signature for the shop"
kubectl create namespace prod
kubectl create namespace dev
cat >"$work/policy.yaml" <<-YAML
	apiVersion: policy.countersign.dev/v1alpha1
	kind: ImagePolicy
	metadata: {name: shop, namespace: prod}
	spec:
	  scopes: [$repository]
	  policy:
	    rootOfTrust:
	      policyType: PublicKey
	      publicKey: {keyData: $(base64 -w0 "$work/key.pub")}
	    signedIdentity: {matchPolicy: MatchRepository}
YAML
show kubectl apply -f "$work/policy.yaml"
for node in "${nodes[@]}"; do
	until docker exec "$node" test -s /etc/countersign/policies/prod.json; do sleep 0.2; done
done
show kubectl --namespace prod get imagepolicies

# pod NAMESPACE NAME TAG NODE makes a pod, which needs no credentials of Kubernetes.
pod() {
	kubectl apply -f - <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: $2, namespace: $1}
		spec:
		  nodeName: $4
		  automountServiceAccountToken: false
		  enableServiceLinks: false
		  tolerations: [{operator: Exists}]
		  containers: [{name: app, image: "$repository:$3"}]
	YAML
}
runs() { kubectl --namespace "$1" wait --for=condition=Ready --timeout="$wait" pod "$2"; }
# The first attempts may be refused as pending: the node has yet to ask the registry for signatures.
refused() {
	local state='{.status.containerStatuses[0].state.waiting' ended=$((SECONDS + 300)) seen=
	until [[ $seen == "CreateContainerError "*"SignatureValidationFailed: $repository:unsigned: "*" none was found (unsigned)"* ]]; do
		if ((SECONDS > ended)); then
			echo "kind.sh: pod $1 is not refused, but: $seen" >&2
			return 1
		fi
		sleep 0.2
		seen=$(kubectl --namespace prod get pod "$1" -o jsonpath="$state.reason} $state.message}" 2>&1 || true)
	done
}

story() { # story SUFFIX
	for node in "${nodes[@]}"; do
		pod dev "unsigned-on-$node$1" unsigned "$node"
		pod prod "signed-on-$node$1" signed "$node"
		pod prod "unsigned-on-$node$1" unsigned "$node"
	done
	for node in "${nodes[@]}"; do
		runs dev "unsigned-on-$node$1"
		runs prod "signed-on-$node$1"
		refused "unsigned-on-$node$1"
	done
	show kubectl get pods --namespace dev
	show kubectl get pods --namespace prod
}
say "the same images in two namespaces, on both nodes"
story ""
show kubectl --namespace prod describe pod "unsigned-on-${nodes[0]}" | grep -A 6 '^Events:'

say "the nodes are restarted, one after the other"
for node in "${nodes[@]}"; do
	show docker restart "$node"
	until [ "$(kubectl get node "$node" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = Unknown ] ||
		docker exec "$node" systemctl is-active --quiet kubelet 2>/dev/null; do sleep 1; done
	until kubectl wait --for=condition=Ready --timeout="$wait" "node/$node" 2>/dev/null; do sleep 1; done
	for suffix in signed; do runs prod "$suffix-on-$node"; done
done
story -later
if [ -n "${AFTER_STORY-}" ]; then "$AFTER_STORY" --values "$work/values.yaml" ${VALUES:+--values "$VALUES"}; fi

say "countersign is removed from the nodes, and then the chart"
show chart --set uninstall=true
show kubectl --namespace "$namespace" rollout status --timeout="$wait" daemonset/countersign-installer
show helm --namespace "$namespace" uninstall countersign
for node in "${nodes[@]}"; do
	runs prod "unsigned-on-$node"
done
show kubectl get pods --namespace prod
say "done"
