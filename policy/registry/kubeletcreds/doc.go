// Package kubeletcreds finds the credentials that a node has for registries, as its kubelet does: in a docker
// config.json or .dockercfg, with the credential helpers that it names, and from the credential provider plugins of a
// CredentialProviderConfig. The rules are those of Kubernetes v1.36 (pkg/credentialprovider).
//
// Files are read again for each lookup. No home directory and no environment variable is consulted, and no error
// quotes what a file or a program has said: that may be the secret.
package kubeletcreds
