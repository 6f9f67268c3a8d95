// Package openshift has tests only. They compare ImagePolicies and ClusterImagePolicies with those of OpenShift: what
// the API server accepts, with the test cases of OpenShift's API, and the documents, with those that the functions of
// its machine config operator make. integration/tools/openshift pins both.
package openshift
