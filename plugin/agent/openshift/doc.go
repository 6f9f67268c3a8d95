// Package openshift has tests only. They compare the documents of ImagePolicies and ClusterImagePolicies with those
// that the functions of OpenShift's machine config operator make, for the objects that OpenShift's API tests accept and
// for the operator's own. integration/tools/openshift pins both.
package openshift
