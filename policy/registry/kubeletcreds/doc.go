// Package kubeletcreds finds the node's credentials for registries, as its kubelet does: in a docker config.json or
// .dockercfg, with its credential helpers, and from the credential provider plugins of a CredentialProviderConfig. The
// rules are those of Kubernetes v1.36 (pkg/credentialprovider).
//
// Files are read again for each lookup. Home directories and environment variables are not used, and no error quotes a
// file or the output of a program, which may be the secret.
package kubeletcreds
