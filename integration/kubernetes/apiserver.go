package kubernetes

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"github.com/countersign/countersign/integration/node"
)

// token authenticates an administrator at the API server, which listens on the loopback address.
const token = "test"

func (c *Cluster) startEtcd(ctx context.Context) error {
	ports, err := node.FreePorts(ctx, 2)
	if err != nil {
		return err
	}
	client, peer := ports[0], ports[1]
	c.etcd = client
	clientURL, peerURL := fmt.Sprintf("http://127.0.0.1:%d", client), fmt.Sprintf("http://127.0.0.1:%d", peer)
	return c.start(node.Program{Path: c.config.Tools.Path(Etcd), Log: c.Log(Etcd), Arguments: []string{
		"--data-dir=" + c.path(Etcd), "--unsafe-no-fsync",
		"--listen-client-urls=" + clientURL, "--advertise-client-urls=" + clientURL,
		"--listen-peer-urls=" + peerURL, "--initial-advertise-peer-urls=" + peerURL, "--initial-cluster=default=" + peerURL,
	}})
}

// startAPIServer starts the API server, and waits until it is ready.
func (c *Cluster) startAPIServer(ctx context.Context) error {
	port, err := node.FreePort(ctx)
	if err != nil {
		return err
	}
	c.apiserver = port
	if err := c.writeCredentials(); err != nil {
		return err
	}
	key := c.path("service-account.key")
	arguments := []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", c.etcd),
		fmt.Sprintf("--secure-port=%d", port), "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--cert-dir=" + c.path("apiserver"), "--token-auth-file=" + c.path("tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + key, "--service-account-signing-key-file=" + key,
		"--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged=true",
		"--disable-admission-plugins=ServiceAccount",
	}
	if c.config.RBAC {
		arguments = append(arguments, "--authorization-mode=RBAC",
			"--audit-policy-file="+c.path("audit-policy"), "--audit-log-path="+c.Log("audit"))
	} else {
		arguments = append(arguments, "--authorization-mode=AlwaysAllow")
	}
	err = c.start(node.Program{Path: c.config.Tools.Path(APIServer), Log: c.Log(APIServer), Arguments: arguments})
	if err != nil {
		return err
	}
	return c.apiServerReady(ctx)
}

func (c *Cluster) apiServerReady(ctx context.Context) error {
	err := node.Until(ctx, "the API server to be ready", func(ctx context.Context) error {
		_, err := c.Kubectl(ctx, "get", "--raw", "/readyz")
		return err
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, node.Tail(c.Log(APIServer)))
	}
	return nil
}

// startControllers starts kube-controller-manager, if any of its controllers is wanted. It serves nothing.
func (c *Cluster) startControllers() error {
	if len(c.config.Controllers) == 0 {
		return nil
	}
	const program = "kube-controller-manager"
	return c.start(node.Program{Path: c.config.Tools.Path(program), Log: c.Log(program), Arguments: []string{
		"--kubeconfig=" + c.path("kubeconfig"), "--controllers=" + strings.Join(c.config.Controllers, ","),
		"--leader-elect=false", "--secure-port=0",
	}})
}

// writeCredentials writes what the API server and its clients identify each other with.
func (c *Cluster) writeCredentials() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"service-account.key": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
		"tokens.csv":          []byte(token + `,admin,admin,"system:masters"` + "\n"),
		"kubeconfig":          c.kubeconfig(token),
		"audit-policy":        []byte(auditPolicy),
	}
	for name, contents := range files {
		if err := os.WriteFile(c.path(name), contents, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// kubeconfig returns the configuration of a client with a token.
func (c *Cluster) kubeconfig(token string) []byte {
	return fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Config", "current-context": "test",
"clusters": [{"name": "test", "cluster": {"server": "https://127.0.0.1:%d", "insecure-skip-tls-verify": true}}],
"users": [{"name": "test", "user": {"token": %q}}],
"contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}]}`, c.apiserver, token)
}

// KubeconfigOf writes the configuration of a client that may do what a service account may, and returns its path.
func (c *Cluster) KubeconfigOf(ctx context.Context, namespace, account string) (string, error) {
	token, err := c.Kubectl(ctx, "-n", namespace, "create", "token", account, "--duration=24h")
	if err != nil {
		return "", err
	}
	path := c.path("kubeconfig-" + account)
	return path, os.WriteFile(path, c.kubeconfig(token), 0o600)
}
